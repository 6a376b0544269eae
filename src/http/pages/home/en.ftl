home-title = Home
home-hello = Hello, { $name }
home-nav = Your account
home-nav-home = Overview
home-nav-use = Use
home-nav-examples = Examples
home-nav-security = Security and settings
home-begin = Three steps to begin with
home-begin-look = <a href="{ $href }">Look at the data</a> in the browser: no key is needed for that.
home-begin-key = <a href="{ $href }">Make a key</a> for your program.
home-begin-line = <a href="{ $href }">Copy a ready line</a> for curl, Python, R, JavaScript or Excel.
home-today = Left today
home-today-more = All of your use
home-today-left = <strong>{ $left }</strong> of { $quota } requests
home-today-used = { $used } of { $quota } requests are used
home-today-empty = Today’s requests are used up. There are new ones at { $when }; until then programs get the answer 429. If you need more, ask whoever invited you for another plan.
home-used = Used
home-refused = Refused
home-full-again = Full again
home-rate = At most
home-rate-text = { $rate } requests per second, up to { $burst } at once
home-plan = Plan
home-datasets = Data that you can read
home-explore = Explore
home-about = What it is
home-datasets-empty = Nothing is published here yet. Come back later; your account and your keys stay as they are.
home-datasets-plan = Your plan names data that is not published at the moment.
home-keys = Your keys
home-keys-new = New key
home-keys-empty = You have no key that works. Programs need one; in the browser you read data without.
home-keys-ended = { $count ->
    [one] { $count } key that has ended
   *[other] { $count } keys that have ended
}
