docs-title = Guide for programs
docs-lead = How to ask this server for data: from the first request to copies that stay up to date.
docs-english = The guide itself is in English.
docs-dataset = Examples with the data set
docs-show = Show
docs-begin = Before you begin
docs-of = The examples are about <a href="{ $href }">{ $title }</a>. They can be copied as they are once <code>KEY</code> holds your key.
docs-made-up = The examples are about a table of books that is made up: there is no data here that anybody may see. Signed in, you read them with the data that you have access to.
docs-signed-in = You are signed in. <a href="{ $keys }">Make a key</a> for your program, or <a href="{ $examples }">copy a ready line</a> for Python, R, JavaScript or Excel.
docs-token = You have an administrator’s token, which reads no records. What you can call is in the <a href="{ $href }">reference of the administration</a>.
docs-stranger = Records are read by people who were invited. If you were, <a href="{ $href }">sign in</a> or take the key from your invitation. If not, ask for access.
docs-ask = Whom to ask:
docs-ask-operator = Ask whoever runs this server.
docs-contents = Contents
docs-columns = The columns of “{ $title }”
docs-asked = Conditions on { $column }
docs-condition = Condition
docs-found = Finds
docs-finds = Finds:
docs-finds-some = some records
docs-nav = Documentation
docs-nav-guide = Guide
docs-nav-reference = Reference
docs-nav-admin = Administration
docs-nav-definitions = Definitions
