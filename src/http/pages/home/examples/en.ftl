home-examples-title = Examples
home-examples-lead = Put your key where YOUR_KEY stands. You have none yet? <a href="{ $href }">Make one</a>.
home-examples-dataset = Data set
home-examples-show = Show
home-examples-csv-file = Into a file for a spreadsheet:
home-examples-browser = Run it on a computer of yours, not in a page that others open: they could read the key.
home-examples-pages = JSON comes in pages of at most 1,000 records: this program asks for page after page.
home-examples-whole = CSV comes as a whole: all records in one file. It counts as { $cost } requests.
home-examples-excel-web = Get data from the web
home-examples-excel-menu = In the Data menu, choose “From Web”.
home-examples-excel-address = Paste this address:
home-examples-excel-basic = When Excel asks for access, choose “Basic”. The user name is your key; leave the password empty.
home-examples-excel-anonymous = When Excel asks for access to this address, choose “Anonymous”: the key is in the query.
home-examples-guide = What else can be asked
home-examples-secret = Whoever has your key reads data in your name, and uses up what is left of your day. Keep it out of files that you share.
home-examples-reference = Every request
