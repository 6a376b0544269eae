home-codes-title = Your recovery codes
home-codes-on = The second factor is on.
home-codes-lead = If you lose your phone, each of these signs you in once in place of a code. They are shown here for ten minutes, or until you say that you have kept them: print them, or copy them to where only you can read them.
home-codes-print = Print
home-codes-kept = I have kept them
home-codes-kept-done = Your recovery codes are not shown any more.
