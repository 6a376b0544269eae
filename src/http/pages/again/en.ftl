again-title = Send it again?
again-lead = You signed in or out after this page was opened. Nothing was done yet, and what you typed is kept. Send it again if you still mean it.
again-signed-out = Your session has ended
again-signed-out-lead = It was not used for too long, somebody ended it, or your access was taken away. Nothing was done yet, and what you typed is kept on this page. Sign in in another tab, come back to this one, and send it again.
again-sign-in = Sign in (another tab)
again-send = Send again
again-what = What is sent
