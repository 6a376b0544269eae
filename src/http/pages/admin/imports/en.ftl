imports-title = Imports
imports-held = { $count ->
    [one] One import waits for your decision: see the list below.
   *[other] { $count } imports wait for your decision: see the list below.
}
imports-send = Send a file
imports-send-what = First you see how the file is read and what it would change. Nothing is changed before you say so.
imports-dataset = For which data set
imports-new = A new data set
imports-name = Name of a new data set
imports-name-hint = Only for a new one: lower-case letters, digits and _, a letter first. If you write none, it is called after the file.
imports-mode = What the file is
imports-file = File
imports-file-hint = CSV, Excel (xlsx, xls), TSV or JSON Lines. You can also drop it here.
imports-file-max = { $size } at most.
imports-look = Look at the file
imports-waiting = Files that wait
imports-none-waiting = No file waits. One that you send waits here for a day, until it is imported or removed.
imports-earlier = Earlier imports
imports-state = State
imports-short-new = New
imports-short-changed = Changed
imports-short-removed = Removed
imports-short-rejected = Rejected
imports-last = These are the last { $count } imports.
imports-none = Nothing has been imported yet. Send a file above.
