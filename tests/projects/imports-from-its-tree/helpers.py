DESCRIPTION = "from a helper"
