# What several pages say.
skip = Skip to the content
nav-main = Main
nav-home = Home
nav-data = Data
nav-docs = Documentation
nav-admin = Administration
nav-token = Administrator’s token
nav-sign-in = Sign in
nav-sign-out = Sign out
contact = Questions: { $contact }
footer-problems = Error messages explained
copy-banner = Copy of { $of } as of { $as_of }, read-only: nothing can be changed here, and nothing is sent.
mails-to-files = Mails are written to files on the server and reach nobody. Whoever runs the server can set up SMTP (mail.transport).
form-wrong = Something in the form is not right yet:
optional = (optional)
copy = Copy
password-show = Show
password-hide = Hide
copied = Copied
pager = Pages
pager-first = First page
pager-next = Next page
records = { $count ->
    [one] { $count } record
   *[other] { $count } records
}
requests = { $count ->
    [one] { $count } request
   *[other] { $count } requests
}
never = never
wrong-invalid-credentials = The address or the password is wrong.
wrong-form-over = This form is from before you signed in or out. Here it is again: please send it once more.
wrong-overloaded = The server has too much to do at the moment. Please try again in a few seconds.
wrong-unavailable = The server cannot reach its data at the moment. Nothing was changed. Please try again in a minute.
admin-nav-overview = Overview
admin-nav-people = People
admin-nav-plans = Plans
admin-nav-data = Data sets
admin-nav-imports = Imports
admin-nav-mail = Mail
admin-nav-undone = Failed tasks
admin-nav-events = Events
admin-nav-tokens = Tokens
admin-nav-health = Health
usage-by-status = The last { $days } days: how requests were answered
usage-by-dataset = The last { $days } days: what was asked for
usage-chart = { $title }: { $sum } requests in { $days } days. The numbers are in the table below.
usage-table = As a table
usage-day = Day (UTC)
usage-all = All
usage-answered = answered
usage-refused = wrong or not allowed (4xx)
usage-waited = too many (429)
usage-failed = fault of the server (5xx)
usage-unknown = before this was counted
usage-no-dataset = no data set
usage-others = others
