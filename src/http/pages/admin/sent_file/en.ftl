sent-file-about = { $size }, sent on { $at }. It waits here for a day.
sent-file-remove = Remove the file
sent-file-remove-question = The file is removed from the server. What was imported of it stays.
sent-file-remove-confirm = Yes, remove it
sent-file-removed = The file was removed.
sent-file-trouble = The file cannot be read like this:
sent-file-trouble-next = Change below how it is read or for which data set it is, or send another file.
sent-file-next = What now?
sent-file-into = The file is for { $dataset }, which has { $records ->
    [one] { $records } record
   *[other] { $records } records
} now.
sent-file-into-new = The file is for the new data set { $dataset }.
sent-file-replaces = It is the whole data set: records that it does not have are removed.
sent-file-merges = It adds and changes records: none is removed.
sent-file-try = Try it out
sent-file-start = Import without trying
sent-file-define-first = This is a new data set. Look at <a href="#definition">its definition below</a>, and try it out from there.
sent-file-reading = How the file is read
sent-file-format = Format
sent-file-format-xlsx = Excel (xlsx)
sent-file-format-xls = Excel (xls)
sent-file-format-delimited = text with separated columns (CSV)
sent-file-format-json_lines = JSON Lines
sent-file-encoding = Encoding
sent-file-encoding-hint = Such as utf-8, windows-1252 or utf-16le. Leave it empty, and it is found out.
sent-file-delimiter = Separates columns
sent-file-delimiter-hint = Such as , or ; or tab. Leave it empty, and it is found out.
sent-file-tab = tab
sent-file-quote = Encloses cells
sent-file-quote-hint = " or ' or none.
sent-file-sheet = Sheet
sent-file-sheet-hint = Its name, in Excel files. Leave it empty for the first that can be seen.
sent-file-header-line = Line of the headers
sent-file-decimal = Mark before decimals
sent-file-thousands = Groups digits
sent-file-thousands-hint = , or . or ' or space or none.
sent-file-date-order = Order of dates
sent-file-month_first = month first (12/31/2026)
sent-file-day_first = day first (31.12.2026)
sent-file-as-defined = as the definition says
sent-file-time-zone = Time zone
sent-file-time-zone-hint = Of times without one, such as Europe/Berlin.
sent-file-skip-rows = Rows to leave out at the top
sent-file-skip-rows-hint = Such as a title above the headers.
sent-file-blanks = Texts that mean “no value”
sent-file-blanks-hint = One a line, such as n/a.
sent-file-stop-at = Texts at which the table ends
sent-file-stop-at-hint = One a line, such as Total or Source:*
sent-file-fill-down = Columns whose blank cells have the value above
sent-file-fill-down-hint = One a line, for merged cells.
sent-file-rows = Rows
sent-file-rows-all = { $count ->
    [one] One row.
   *[other] All { $count } rows were looked at.
}
sent-file-rows-first = The first { $count } were looked at. Trying it out reads them all.
sent-file-rows-rejected = { $count ->
    [one] One of them cannot become a record.
   *[other] { $count } of them cannot become records.
}
sent-file-columns = The columns of the file
sent-file-header = In the file
sent-file-read-as = Is taken for
sent-file-not-published = not published
sent-file-not-read = not read
sent-file-first-rows = The first rows, as records
sent-file-no-rows = No row could be read as a record. Change below how the file is read.
sent-file-problems = What cannot be read
sent-file-definition = The definition of the new data set
sent-file-definition-none = None could be drafted from the file. Say above how it is to be read, or write the definition here.
sent-file-definition-what = It was drafted from the file. It says what the columns are called, what they hold, and what is published. Correct what is not right: columns about persons are left out unless you let them in.
sent-file-definition-text = Definition (TOML)
sent-file-define = Save and check
sent-file-definition-kept = The definition is right. The file is read by it below.
sent-file-propose = Draft it anew
sent-file-propose-question = The definition is drafted from the file once more. What you wrote in it is lost.
sent-file-propose-confirm = Yes, draft it anew
sent-file-proposed = The definition was drafted anew.
sent-file-settings = Read it otherwise
sent-file-settings-what = This holds for this file only. It need not be sent again.
sent-file-absent = Columns that the file does not have
sent-file-absent-empty = become empty
sent-file-absent-keep = keep their values
sent-file-keep-definition = Keep the definition as it is written
sent-file-again = Read it again
sent-file-read-again = The file was read again, as you said.
