data-set-is-withdrawn = It is kept, and nobody but the staff sees it.
data-set-name = Name in addresses
data-set-held = Versions kept
data-set-held-from = { $count ->
    [one] version { $to }
   *[other] { $count } versions: { $from } to { $to }
}
data-set-former = Former names, which lead here
data-set-see = What readers see
data-set-columns = Columns
data-set-kind = Type
data-set-from = Read from
data-set-key = key
data-set-record-id = record id
data-set-read = a column of the file
data-set-joined = several columns of the file
data-set-made = made by the import
data-set-definition = The definition
data-set-text-what = Send the file again on the page <a href="{ $imports }">Imports</a>, and change the definition there. What can be written into it: <a href="{ $language }">the language of definitions</a>.
data-set-indexes = Indexes
data-set-no-indexes = none
data-set-fingerprint = Fingerprint
data-set-import-counts = { $inserted } new, { $updated } changed, { $removed } removed
data-set-acts = Change the data set
data-set-withdraw = Withdraw
data-set-withdraw-question = { $records ->
    [one] Its { $records } record is
   *[other] Its { $records } records are
} kept, and no reader gets them any more, until you restore the data set.
data-set-withdraw-confirm = Yes, withdraw it
data-set-withdrawn = { $name } is withdrawn. Nobody but the staff sees it.
data-set-restore = Restore
data-set-restore-question = { $records ->
    [one] Readers get its { $records } record again.
   *[other] Readers get its { $records } records again.
}
data-set-restore-confirm = Yes, restore it
data-set-restored = { $name } is served again.
data-set-rename = Rename
data-set-rename-question = All { $records } records get another address. The old name { $name } leads there for as long as no other data set takes it. Definitions in files keep the old name: change it there as well before the next import.
data-set-rename-to = New name
data-set-rename-confirm = Rename it
data-set-renamed = { $name } is called { $to } now.
data-set-remove = Remove
data-set-remove-question = { $records ->
    [one] Its { $records } record is
   *[other] All { $records } records are
} removed, in { $versions ->
    [one] the { $versions } version that is kept.
   *[other] all { $versions } versions that are kept.
} This cannot be undone: the data would have to be imported anew.
data-set-remove-typed = To remove it, type { $name }
data-set-remove-confirm = { $records ->
    [one] Remove { $records } record for good
   *[other] Remove { $records } records for good
}
data-set-removed = { $name } was removed, with { $count ->
    [one] { $count } record
   *[other] { $count } records
}.
data-set-readers = Who may read it
data-set-readers-people = { $count ->
    [one] { $count } person
   *[other] { $count } people
}
data-set-readers-none = Nobody: no plan has it. Give it to a plan.
data-set-public = Its description is public.
