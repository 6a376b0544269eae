person-as-of = So war es damals: { $moment }.
person-now = Zeigen, wie es jetzt ist
person-as-of-label = Stand zu einem früheren Zeitpunkt (UTC)
person-as-of-show = Anzeigen
person-beyond = Diese Person darf mehr als Sie. Sie können sie ansehen, aber nichts ändern.
person-facts = Wer
person-acts = Was Sie tun können
person-first-request = Erste Anfrage nach Daten
person-password = Passwort
person-factor = Zweiter Faktor
person-set = gesetzt
person-not-set = nicht gesetzt
person-mails = E-Mails
person-mails-kept = { $count ->
    [one] { $count } E-Mail an diese Person liegt auf dem Server
   *[other] { $count } E-Mails an diese Person liegen auf dem Server
}
person-stop-bounced = Eine frühere E-Mail an diese Adresse kam endgültig zurück, deshalb wird nichts an sie verschickt. Wenn die Adresse wieder geht, erlauben Sie E-Mail wieder und verschicken Sie dann die Einladung noch einmal.
person-stop-complained = Eine frühere E-Mail an diese Adresse wurde als unerwünscht gemeldet, deshalb wird nichts an sie verschickt. Erlauben Sie E-Mail nur wieder, wenn diese Person Sie darum gebeten hat.
person-mail-failed = Die letzte E-Mail konnte nicht zugestellt werden. Prüfen Sie die Adresse und verschicken Sie die Einladung noch einmal. Das Mailsystem hat gesagt:
person-ids = Einzelheiten
person-resend = Einladung noch einmal verschicken
person-mail-password = Link zum Setzen eines Passworts verschicken
person-allow-mail = E-Mail wieder erlauben
person-enable = Freigeben
person-change-plan = Plan ändern
person-change-role = Rolle ändern
person-plan-retired = { $plan } (zurückgezogen)
person-disable = Sperren …
person-disable-ask = Dies sperrt { $name }: { $keys ->
    [one] { $keys } Schlüssel wird
   *[other] { $keys } Schlüssel werden
} innerhalb einer Sekunde abgewiesen, und { $sessions ->
    [one] { $sessions } Sitzung endet.
   *[other] { $sessions } Sitzungen enden.
} Nach dem Freigeben gelten die Schlüssel wieder.
person-disable-do = { $name } sperren
person-end-sessions = Sitzungen beenden …
person-end-sessions-ask = Dies meldet { $name } ab: { $sessions ->
    [one] { $sessions } Sitzung endet.
   *[other] { $sessions } Sitzungen enden.
} Die Schlüssel gelten weiter.
person-end-sessions-do = Sitzungen beenden
person-remove-factor = Zweiten Faktor entfernen …
person-remove-factor-ask = { $name } meldet sich dann nur mit dem Passwort an, bis ein anderer zweiter Faktor eingerichtet ist. Vergewissern Sie sich, dass wirklich diese Person darum bittet.
person-remove-factor-do = Entfernen
person-delete = Löschen …
person-delete-ask = Dies löscht { $name }: { $keys ->
    [one] { $keys } Schlüssel gilt
   *[other] { $keys } Schlüssel gelten
} innerhalb einer Sekunde nicht mehr, { $sessions ->
    [one] { $sessions } Sitzung endet,
   *[other] { $sessions } Sitzungen enden,
} und Name und Adresse werden aus dem Protokoll getilgt. Das lässt sich nicht rückgängig machen.
person-delete-do = { $name } löschen
person-sessions = Sitzungen
person-no-session = Niemand ist angemeldet.
person-session-began = Begonnen
person-session-from = Von
person-session-seen = Zuletzt gesehen
person-session-ends = Endet unbenutzt
person-use-title = Nutzung in den letzten 30 Tagen
person-use-none = Keine Anfragen in den letzten 30 Tagen.
person-timeline = Was geschehen ist
person-was-deleted = { $name } wurde schon gelöscht. Es wurde nichts getan.
person-deleted-already = { $name } wurde schon gelöscht.
person-disabled-already = { $name } ist schon gesperrt.
person-enabled-already = { $name } ist nicht gesperrt.
person-plan-already = { $name } hat diesen Plan schon.
person-role-already = { $name } hat diese Rolle schon.
person-mail-already = { $name } bekommt schon E-Mail.
person-resent = Die Einladung an { $name } wird noch einmal verschickt.
person-disabled = { $name } ist gesperrt. Die Schlüssel werden innerhalb einer Sekunde abgewiesen, die Sitzungen sind beendet.
person-enabled = { $name } ist freigegeben. Die Schlüssel gelten wieder.
person-plan-changed = { $name } hat jetzt den Plan { $plan }.
person-role-changed = { $name } hat jetzt die Rolle { $role }.
person-sessions-ended = { $name } wurde abgemeldet: { $count ->
    [one] { $count } Sitzung ist beendet.
   *[other] { $count } Sitzungen sind beendet.
}
person-password-mailed = Ein Link zum Setzen eines Passworts ist unterwegs zu { $name }.
person-factor-removed = { $name } hat keinen zweiten Faktor mehr.
person-mail-allowed = { $name } bekommt wieder E-Mail. Was inzwischen nicht verschickt wurde, wird dadurch nicht verschickt: Verschicken Sie die Einladung noch einmal, wenn sie gewünscht ist.
person-deleted = { $name } wurde gelöscht. Die Schlüssel gelten innerhalb einer Sekunde nicht mehr, Name und Adresse sind getilgt.
person-mail-bounced = Es wurde nichts verschickt: Eine frühere E-Mail an { $name } kam endgültig zurück. Erlauben Sie zuerst E-Mail wieder.
person-mail-unwanted = Es wurde nichts verschickt: { $name } hat eine frühere E-Mail als unerwünscht gemeldet. Erlauben Sie zuerst E-Mail wieder, wenn Sie darum gebeten wurden.
person-is-disabled = { $name } ist gesperrt. Geben Sie die Person zuerst frei.
person-is-last = { $name } ist die letzte Person mit der Rolle Verwaltung, die sich anmelden kann. Geben Sie zuerst jemand anderem diese Rolle.
person-own-factor = Ihren eigenen zweiten Faktor entfernen Sie auf Ihrer eigenen Seite mit einem Code.
person-no-factor = { $name } hat keinen zweiten Faktor.
person-keys-title = Schlüssel
person-keys-none = Es gibt noch keinen Schlüssel. Die Einladung bringt einen mit, oder stellen Sie hier einen aus.
person-keys-key = Schlüssel
person-keys-state = Stand
person-keys-issued-at = Ausgestellt
person-keys-acts = Was Sie tun können
person-keys-state-active = gilt
person-keys-state-grace = ersetzt, gilt bis
person-keys-state-expired = abgelaufen
person-keys-state-replaced = ersetzt
person-keys-state-revoked = widerrufen
person-keys-state-ended = beendet
person-keys-until = bis { $moment }
person-keys-issue = Schlüssel ausstellen …
person-keys-issue-text = Der Schlüssel wird hier einmal gezeigt. Geben Sie ihn auf sicherem Weg an { $name }: Wer ihn hat, liest Daten in diesem Namen.
person-keys-issue-do = Schlüssel ausstellen
person-keys-label = Wie er heißt
person-keys-expires = Letzter Tag
person-keys-expires-hint = Wenn hier nichts steht: so lange, wie der Plan es erlaubt.
person-keys-new = Der neue Schlüssel
person-keys-new-text = Er wird nur dieses eine Mal gezeigt. Bewahren Sie ihn auf, oder geben Sie ihn auf sicherem Weg an { $name }.
person-keys-keep = Ich habe ihn gespeichert
person-keys-kept = Der Schlüssel wird nicht mehr gezeigt.
person-keys-issued = Der Schlüssel wurde erzeugt.
person-keys-late = Der Schlüssel wurde bei einem früheren Versuch erzeugt und wird nicht mehr gezeigt. Ersetzen Sie ihn durch einen neuen, wenn ihn niemand hat.
person-keys-rotate = Ersetzen …
person-keys-rotate-ask = Ein neuer Schlüssel tritt an die Stelle dessen mit der Endung { $key }. Der alte endet, wann Sie es sagen.
person-keys-rotate-do = Schlüssel ersetzen
person-keys-rotated = Der Schlüssel wurde ersetzt.
person-keys-grace = Der alte Schlüssel gilt
person-keys-grace-0 = nicht mehr
person-keys-grace-3600 = noch 1 Stunde
person-keys-grace-86400 = noch 1 Tag
person-keys-grace-604800 = noch 7 Tage
person-keys-revoke = Widerrufen …
person-keys-revoke-ask = Programme mit dem Schlüssel mit der Endung { $key } werden innerhalb einer Sekunde abgewiesen. Das lässt sich nicht rückgängig machen.
person-keys-revoke-do = Schlüssel widerrufen
person-keys-revoked = Der Schlüssel wurde widerrufen. Er wird innerhalb einer Sekunde abgewiesen.
person-keys-ended-already = Dieser Schlüssel war schon beendet. Es wurde nichts getan.
person-keys-of-deleted = Diese Person wurde schon gelöscht, und alle ihre Schlüssel sind beendet.
