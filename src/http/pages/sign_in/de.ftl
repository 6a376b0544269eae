sign-in-title = Anmelden
sign-in-email = E-Mail-Adresse
sign-in-password = Passwort
sign-in-forgotten = Ich habe mein Passwort vergessen oder noch keines gesetzt
sign-in-at-provider = Anmelden mit { $provider }
sign-in-by-token = Mit einem Verwaltungstoken
sign-in-token = Token
sign-in-token-hint = Es beginnt mit pmt_admin_ und wurde beim ersten Start des Servers ausgegeben.
sign-in-signed-out = Sie sind abgemeldet.
sign-in-locked-out = Nichts geht? Fragen Sie { $contact }.
sign-in-not-invited = Ein Konto hat hier nur, wer eingeladen wurde.
sign-in-wrong = Die Adresse oder das Passwort stimmt nicht. Prüfen Sie beides, oder fordern Sie einen Link für ein neues Passwort an.
sign-in-wait = Zu viele Versuche. Versuchen Sie es in { $wait } noch einmal.
sign-in-not-admitted = Ihr Konto dort lässt Sie hier nur ein, wenn dessen E-Mail-Adresse bestätigt ist und eingeladen wurde. Fragen Sie, an welche Adresse die Einladung ging, oder melden Sie sich anders an.
sign-in-again = Die Anmeldung dort wurde nicht beendet: sie dauerte mehr als zehn Minuten, wurde abgebrochen oder in einem anderen Browser begonnen. Beginnen Sie noch einmal.
sign-in-unavailable = Die Anmeldung dort ist gerade nicht möglich. Versuchen Sie es in einigen Minuten noch einmal, oder melden Sie sich mit Ihrem Passwort an.
sign-in-token-wrong = dieses Token ist unbekannt oder gilt nicht mehr
sign-in-session-over = Ihre Sitzung ist beendet. Sie wurde zu lange nicht benutzt, jemand hat sie beendet, Ihr Passwort wurde geändert, oder Ihnen wurde der Zugang entzogen. Melden Sie sich wieder an; wenn das nicht geht, fragen Sie, wer Sie eingeladen hat.
sign-in-seconds = { $count ->
    [one] { $count } Sekunde
   *[other] { $count } Sekunden
}
sign-in-minutes = { $count ->
    [one] { $count } Minute
   *[other] { $count } Minuten
}
sign-in-hours = { $count ->
    [one] { $count } Stunde
   *[other] { $count } Stunden
}
