front-title = Data
front-lead = Tables of records, published as an API for those who were invited.
front-datasets = Data sets
front-empty = Nothing has been published yet. It will stand here once a file was imported.
front-empty-stranger = No data set is shown to everybody here. Sign in to see those that you may read.
front-access = Access
front-access-text = People are invited by e-mail. The invitation has a key for programs, and a link to set a password with. With that you sign in here: you see what is left of your quota, make more keys, and look at the data in the browser.
front-docs = How programs ask for data
