explore-record-unknown = There is no such record
explore-record-unknown-text = No record bears this number, and none did as far back as the history goes. It may be spelt differently.
explore-record-all = All records
explore-record-then = This is the record as of { $time }.
explore-record-absent = As of { $time } there was no such record.
explore-record-gone = This record is not there any more. An import removed it; below is what it was.
explore-record-all-columns = The record
explore-record-same = { $count ->
    [one] 1 record bears this number
   *[other] { $count } records bear this number
}
explore-record-this = this one
explore-record-request = A program gets the record, and its history, like this. Each costs 1 request.
explore-record-costs = A record’s page costs 2 requests: 1 for the record and 1 for its history.
explore-history = History
explore-history-added = Added by an import
explore-history-returned = Added again by an import
explore-history-changed = Changed by an import
explore-history-removed = Removed by an import
explore-history-was = Was as an import left it
explore-history-same = Nothing that is still published changed.
explore-history-no-moment = The moment is not kept any more
explore-history-version = version { $version }
explore-history-from = from
explore-history-to = to
explore-history-none = Nothing is known of what it was before.
