print "Python 2"
exec "1" in {}
