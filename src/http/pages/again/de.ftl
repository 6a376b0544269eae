again-title = Noch einmal senden?
again-lead = Sie haben sich an- oder abgemeldet, nachdem diese Seite geöffnet wurde. Es ist noch nichts geschehen, und was Sie eingegeben haben, ist noch da. Senden Sie es noch einmal, wenn Sie es weiterhin möchten.
again-signed-out = Ihre Sitzung ist beendet
again-signed-out-lead = Sie wurde zu lange nicht benutzt, jemand hat sie beendet, oder Ihnen wurde der Zugang entzogen. Es ist noch nichts geschehen, und was Sie eingegeben haben, ist auf dieser Seite noch da. Melden Sie sich in einem anderen Tab an, kommen Sie hierher zurück und senden Sie es noch einmal.
again-sign-in = Anmelden (anderer Tab)
again-send = Noch einmal senden
again-what = Was gesendet wird
