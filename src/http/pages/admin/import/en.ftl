import-title = Import of { $file }
import-status-uploading = arriving
import-status-reading = being read
import-status-committing = being stored
import-status-held = waits for a decision
import-status-completed = imported
import-status-tried = tried out
import-status-failed = failed
import-status-cancelled = cancelled
import-status-discarded = discarded
import-status-removed = no longer there
import-status-running = under way
import-under-way-uploading = The file is arriving
import-under-way-reading = The file is being read
import-under-way-committing = The records are being stored
import-progress = How far the import is
import-rows-read = { $count ->
    [one] { $count } row has been read.
   *[other] { $count } rows have been read.
}
import-waits = You can leave this page: the import goes on. Look again to see how far it is.
import-look-again = Look again
import-cancel = Cancel the import
import-cancel-question = The import stops, and no record is changed. The file has to be imported anew if you want it after all.
import-cancel-confirm = Yes, cancel it
import-held-title = This import needs your decision
import-held-why = It would change more than is usual, so nothing has been changed yet:
import-excess-removed = { $count } of { $of } records would be removed, which is more than { $max } %.
import-excess-rejected = { $count } of { $of } rows of the file cannot become records, which is more than { $max } %.
import-excess-nulled = The column “{ $column }” would lose { $count } of its { $of } values, which is more than { $max } %.
import-excess-no_record = None of the { $of } rows of the file can become a record, and the file is to replace the data set.
import-held-check = If the file is only a part of the data, or a column was renamed in it, discard the import and send the right file. If all of this is meant, approve it.
import-held-until = Without a decision it is discarded on { $at }.
import-approve = Approve
import-approve-question = { $dataset } then gets { $inserted } new and { $updated } changed records. { $removed } records are removed, and { $rejected } rows of the file are left out. Readers see this at once.
import-approve-confirm = { $removed ->
    [0] Yes, import it
    [one] Yes, import it and remove { $removed } record
   *[other] Yes, import it and remove { $removed } records
}
import-discard = Discard
import-discard-question = { $records ->
    [one] The { $records } record of { $dataset } stays as it is.
   *[other] All { $records } records of { $dataset } stay as they are.
} The import is ended.
import-discard-confirm = Yes, discard it
import-approved = The import is approved and goes on now.
import-approved-before = The import was approved already.
import-discarded = The import was discarded. Nothing was changed.
import-discarded-before = The import was discarded already. Nothing was changed.
import-cancelled = The import is being stopped.
import-cancelled-before = The import was cancelled already.
import-tried-title = The file was tried out. Nothing was changed.
import-tried = Below is what importing it would do.
import-tried-same = Importing it would change nothing: all of its records are there already, as the file has them.
import-tried-would-hold = An import of it would first wait for your decision, because it would change more than is usual:
import-start = Import it now
import-read-otherwise = Change how the file is read
import-file-gone = The file does not wait any more. To import it, <a href="{ $path }">send it again</a>.
import-done-title = The file was imported
import-done = { $dataset } is now at version { $version }.
import-see-data = See the data
import-see-data-set = The data set
import-ended-failed = The import failed
import-ended-cancelled = The import was cancelled
import-ended-discarded = The import was discarded
import-ended-removed = What this import brought is no longer there
import-nothing-changed-failed = No record was changed. Correct the file, or how it is read, and try again.
import-nothing-changed-cancelled = No record was changed.
import-nothing-changed-discarded = No record was changed.
import-nothing-changed-removed = The data set was removed or has another name.
import-back-to-file = Back to the file
import-send-another = Send a file
import-counts = What changed
import-counts-would = What would change
import-inserted = New records
import-updated = Changed records
import-removed = Removed records
import-unchanged = Unchanged records
import-rejected = Rows that cannot become records
import-emptied = Values lost in { $column }
import-notes = What to know about the file
import-missing-columns = The file does not have these columns: { $names }.
import-renamed-header = The header “{ $header }” may be the column “{ $column }” under another name.
import-new-headers = These headers are not in the definition and were not read: { $names }.
import-differences = Examples of changed values
import-differences-some = { $count ->
    [one] One changed value
   *[other] The first { $count } changed values
}
import-record = Record
import-column = Column
import-old = Until now
import-new = In the file
import-no-value = no value
import-rejects = Rows that cannot become records
import-rejects-what = Correct these cells in the file, and send it again. All other rows are not affected.
import-rejects-first = { $count ->
    [one] One cell
   *[other] The first { $count } cells
}
import-line = Line
import-value = Value
import-reason = What is wrong
import-rejects-download = Download all rejected rows (CSV)
import-more = More about this import
import-dataset = Data set
import-mode = What the file is
import-mode-replace = the whole data set: what it does not have is removed
import-mode-merge = additions and changes: nothing is removed
import-who = Who
import-who-you = you
import-who-person = a member of the staff
import-who-token = an administrator’s token
import-who-server = the server
import-who-command = a command on the server
import-started = Begun
import-ended = Ended
import-id = Id
import-redefines = This import changes the definition of the data set, too.
import-redefines-present = The definition that there is
import-opens-columns = Published from then on, and not before: { $names }
import-opens-personal = No longer counted as telling of people, so that their values are shown: { $names }
import-opens-about = What the data set says about itself may be seen by everybody from then on.
