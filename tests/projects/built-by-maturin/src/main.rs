fn main() {
    println!("maturin");
}
