sign-in-title = Sign in
sign-in-email = E-mail address
sign-in-password = Password
sign-in-forgotten = I have forgotten my password, or never set one
sign-in-at-provider = Sign in with { $provider }
sign-in-by-token = With an administrator’s token
sign-in-token = Token
sign-in-token-hint = It begins with pmt_admin_ and was printed when the server was first started.
sign-in-signed-out = You are signed out.
sign-in-locked-out = Nothing works? Ask { $contact }.
sign-in-not-invited = Only people who were invited have an account here.
sign-in-wrong = The address or the password is wrong. Check both, or ask for a link to set another password.
sign-in-wait = Too many tries. Try again in { $wait }.
sign-in-not-admitted = Your account there lets you in here only if its e-mail address is verified and was invited. Ask whoever invited you which address they used, or sign in another way.
sign-in-again = Signing in there was not finished: it took more than ten minutes, was cancelled, or was begun in another browser. Begin again.
sign-in-unavailable = Signing in there does not work at the moment. Try again in some minutes, or sign in with your password.
sign-in-token-wrong = this token is unknown or does not work any more
sign-in-session-over = Your session has ended. It was not used for too long, somebody ended it, your password was changed, or your access was taken away. Sign in again; if that does not work, ask whoever invited you.
sign-in-seconds = { $count ->
    [one] { $count } second
   *[other] { $count } seconds
}
sign-in-minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
sign-in-hours = { $count ->
    [one] { $count } hour
   *[other] { $count } hours
}
