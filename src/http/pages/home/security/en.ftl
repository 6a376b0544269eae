home-security-title = Security and settings
home-security-must = Administrators need a second factor here. Set one up now: everything else opens after that.
home-security-factor = Second factor
home-security-factor-on = on
home-security-factor-off = off
home-security-factor-text = With a second factor, signing in takes a code from an app on your phone beside your password. Whoever learns your password alone cannot get in.
home-security-factor-since = It has been on since { $when }.
home-security-codes-left = { $count ->
    [one] { $count } recovery code is left.
   *[other] { $count } recovery codes are left.
}
home-security-codes-few = Only a few recovery codes are left. For new ones, remove the second factor and set it up again.
home-security-demanded = Administrators need a second factor here: if you remove it, you have to set up another one at once.
home-security-factor-exists = You have a second factor already. Remove it first if you want to set up another one.
home-security-begin = Set up a second factor
home-security-step-app = Open an authenticator app on your phone, such as Aegis, FreeOTP, Google Authenticator or your password manager.
home-security-step-scan = Scan this picture with it.
home-security-step-type = Or type this secret into the app:
home-security-secret = Secret of the second factor
home-security-qr = QR code with the secret below
home-security-open-app = Open the app on this device
home-security-code = Code
home-security-code-hint = Six digits that the app shows now.
home-security-code-or-recovery = Six digits from the app, or a recovery code.
home-security-code-wrong = this code is not right: take the one that the app shows now, and check the clock of your phone
home-security-confirm = Turn it on
home-security-others-end = When you turn it on, your other sessions end.
home-security-remove-open = Remove the second factor …
home-security-remove-text = Signing in takes only your password then, and your recovery codes do not count any more.
home-security-remove-do = Remove it
home-security-factor-removed = The second factor is removed. Remove its entry in the app as well.
home-security-password = Password
home-security-password-text = When you change it, your other sessions end. Keys work on.
home-security-current = Current password
home-security-current-wrong = this is not your current password
home-security-password-change = Change the password
home-security-password-changed = Your password is changed. Your other sessions have ended.
home-security-password-forgotten = I have forgotten the current one
home-security-no-password = You have no password. A link by mail sets one.
home-security-no-password-provider = You sign in with { $provider } and have no password here. You can set one as well, by a link that is mailed to you.
home-security-password-link = Set a password by a link
home-security-sessions = Where you are signed in
home-security-sessions-text = You do not know one of these? End it, and change your password.
home-security-session-began = Signed in
home-security-session-used = Last seen
home-security-session-network = From
home-security-session-method = By
home-security-session-ends = Ends
home-security-session-this = this one
home-security-session-end = End
home-security-session-ended = The session is ended.
home-security-sessions-only = This is the only one.
home-security-others-open = End all others …
home-security-others-text = { $count ->
    [one] { $count } other session ends at once: whoever uses it has to sign in again. This one stays.
   *[other] { $count } other sessions end at once: whoever uses them has to sign in again. This one stays.
}
home-security-others-do = End all others
home-security-others-ended = { $count ->
    [0] There was no other session.
    [one] { $count } other session is ended.
   *[other] { $count } other sessions are ended.
}
home-security-method-password = password
home-security-method-password_and_code = password and code
home-security-method-password_and_recovery_code = password and recovery code
home-security-method-provider = provider
home-security-method-provider_and_its_factor = provider with its second factor
home-security-method-provider_and_code = provider and code
home-security-method-provider_and_recovery_code = provider and recovery code
home-security-notices = Mails that you get
home-security-notice-expiry = Before a key of yours expires: 30 days, 7 days and 1 day
home-security-notice-keys = When somebody else makes or revokes a key of yours
home-security-notice-quota = When 80 % and 100 % of a day’s requests are used
home-security-notices-save = Save
home-security-notices-chosen = Saved. You get the mails that are ticked.
home-security-data = Your data
home-security-data-text = All that is kept about you, as one file (JSON): your account, keys without their secrets, sessions, mails, use, and what happened.
home-security-data-download = Download your data
home-security-delete = Delete your account
home-security-delete-text = Ask whoever invited you. Your address, your name and all that says who you are is then erased for good; your keys and sessions end at once.
home-security-id = Id of your account, for support
