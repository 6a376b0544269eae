about-explore = Look at the records
about-sign-in = Sign in to look at the records
about-no-description = Whoever publishes this data set has not described it yet.
about-keywords = Keywords
about-facts = At a glance
about-records = Records
about-publisher = Publisher
about-licence = Licence
about-no-licence = Not stated: ask the publisher before you use the records.
about-frequency = New records come
about-homepage = Home page
about-contact = Contact
about-address = Address for programs
about-last = Last import
about-inserted = New records
about-updated = Changed records
about-removed = Removed records
about-unchanged = It brought nothing that was not there already.
about-version = The records are at version { $version }. The number rises whenever an import changes something.
about-columns = Columns
about-no-figures = The columns have not been counted yet. Shares of empty cells and frequent values are shown here after the next import.
about-column = Column and meaning
about-type = Type
about-empty = Empty
about-values = Range, or most frequent values
about-from = From
about-to = to
about-only = Only
about-blank = (blank text)
about-personal = Tells of people: not shown
about-identifies = Tells records apart: not shown
about-various = No value is frequent enough to be shown
about-figures = Values are shown only where many records have them: at least 10, and at least one in a thousand. Of columns that tell of people, and of the columns that tell records apart, no value is shown.
about-type-text = Text
about-type-integer = Whole number
about-type-money = Amount
about-type-number = Number
about-type-date = Date
about-type-timestamp = Date and time
about-type-point = Place
about-access = How to get access
about-access-default = Records are read by people who were invited. Ask for an invitation: it brings a key for programs, and a password to sign in with here.
about-ask = Whom to ask:
about-docs = How programs ask for records
about-limits = What to know before you use it
about-limit-page = One answer has up to 1,000 records. All that match a question come as one file, CSV or NDJSON.
about-limit-export = { $cost ->
    [one] Such a file counts as one request.
   *[other] Such a file counts as { $cost } requests.
}
about-limit-plan = How much you may ask in a second and in a day depends on your plan. You see it on your home page.
about-limit-past = { $days ->
    [one] Earlier versions can be asked for since version { $version }. They are kept for one day.
   *[other] Earlier versions can be asked for since version { $version }. They are kept for { $days } days.
}
about-every-hourly = every hour
about-every-daily = every day
about-every-weekly = every week
about-every-monthly = every month
about-every-quarterly = every quarter
about-every-yearly = every year
