sent-file-about = { $size }, sent on { $at }. It waits here for a day.
sent-file-remove = Remove the file
sent-file-remove-question = The file is removed from the server. What was imported of it stays.
sent-file-remove-confirm = Yes, remove it
sent-file-removed = The file was removed.
sent-file-trouble = The file cannot be read like this:
sent-file-trouble-next = Change below how the file is read or which data set it is for, or send another file.
sent-file-next = Next step
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
sent-file-encoding = Character encoding
sent-file-encoding-hint = Such as utf-8, windows-1252 or utf-16le. Leave it empty to have it detected.
sent-file-delimiter = Column separator
sent-file-delimiter-hint = Such as , or ; or tab. Leave it empty to have it detected.
sent-file-tab = tab
sent-file-quote = Quotation mark
sent-file-quote-hint = The mark around texts in CSV files: " or ' or none.
sent-file-sheet = Sheet
sent-file-sheet-hint = Its name, in Excel files. Leave it empty for the first visible sheet.
sent-file-header-line = Line with the column names
sent-file-decimal = Decimal mark
sent-file-thousands = Thousands separator
sent-file-thousands-hint = , or . or ' or space or none.
sent-file-date-order = Day and month in dates
sent-file-month_first = month first (12/31/2026)
sent-file-day_first = day first (31.12.2026)
sent-file-as-defined = as the definition says
sent-file-time-zone = Time zone
sent-file-time-zone-hint = For times that name no zone, such as Europe/Berlin.
sent-file-skip-rows = Rows to leave out at the top
sent-file-skip-rows-hint = How many, such as 1 for a title above the column names.
sent-file-blanks = Texts that mean “no value”
sent-file-blanks-hint = One text per line, such as n/a.
sent-file-stop-at = Texts that end the table
sent-file-stop-at-hint = The row that begins with one of them, and all rows below, are left out. One text per line, such as Total or Source:*
sent-file-fill-down = Columns whose empty cells repeat the value above
sent-file-fill-down-hint = For merged cells. One column per line.
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
sent-file-header = Column of the file
sent-file-read-as = Column of the data set
sent-file-not-published = not published
sent-file-not-read = not read
sent-file-first-rows = The first rows, as records
sent-file-no-rows = No row could be read as a record. Change below how the file is read.
sent-file-problems = What cannot be read
sent-file-definition = The definition of the new data set
sent-file-definition-none = None could be drafted from the file. Change below how the file is read, or write the definition here.
sent-file-definition-what = It was drafted from the file. It says what the columns are called, what they hold, and what is published. Correct what is not right. Columns whose name or values look personal are left out. Others are not recognised: look at each column before you import.
sent-file-definition-text = Definition (TOML)
sent-file-define = Save and check
sent-file-definition-kept = The definition has no mistake. Below you see how the file is read by it.
sent-file-propose = Start the draft again
sent-file-propose-question = The definition is drafted from the file once more. What you wrote in it is lost.
sent-file-propose-confirm = Yes, start the draft again
sent-file-proposed = The definition was drafted from the file again.
sent-file-settings = Change how the file is read
sent-file-settings-what = This is for this file only. You need not send it again.
sent-file-absent = Columns that are missing in the file
sent-file-absent-empty = become empty
sent-file-absent-keep = keep their values
sent-file-keep-definition = Keep the definition as it is now
sent-file-again = Read the file again
sent-file-read-again = The file was read again with your settings.
sent-file-definition-language = What can be written here: <a href="{ $href }">the language of definitions</a>.
sent-file-definition-name-taken = there is a data set “{ $name }” already. Write another name here, or choose that data set further down, under “{ $choice }”
sent-file-definition-other-name = the name is “{ $name }”, but this is the definition of “{ $dataset }”. Write that name again: a data set is renamed on its own page, under “Data sets”
sent-file-definition-of-other = somebody chose another data set for this file after this page was shown. Look at the page again before you change a definition
sent-file-definition-undone = Your changes of the definition were undone.
sent-file-present = The definition of this data set
sent-file-present-what = The file is read by it. You can change the title, descriptions, what is published, and columns. What you change takes effect with the import of this file, and stays for later ones. “publish = false” drops a column; whether such a column is personal is not kept, so write “personal = true” again where you publish it.
sent-file-present-in-file = It is kept in a file on the server, which each import reads again. So it cannot be changed here: whoever runs the server changes it in that file.
sent-file-present-long = It is too long to be changed here. Whoever runs the server changes it with “permitd import --definition”.
sent-file-redefined = definition changed
sent-file-redefined-what = The file is read by the definition as you changed it. It takes the place of the present one when the file is imported.
sent-file-undo = Undo the changes of the definition
sent-file-undo-question = The file is read by the present definition again. What you wrote in it is lost.
sent-file-undo-confirm = Yes, undo them
