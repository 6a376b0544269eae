# Was mehrere Seiten sagen.
skip = Zum Inhalt springen
nav-main = Hauptnavigation
nav-home = Start
nav-data = Daten
nav-docs = Dokumentation
nav-admin = Verwaltung
nav-token = Verwaltungstoken
nav-sign-in = Anmelden
nav-sign-out = Abmelden
contact = Fragen: { $contact }
footer-problems = Fehlermeldungen erklärt
copy-banner = Kopie von { $of }, Stand { $as_of }, nur zum Lesen: Hier lässt sich nichts ändern, und nichts wird verschickt.
mails-to-files = E-Mails werden auf dem Server in Dateien geschrieben und erreichen niemanden. Wer den Server betreibt, kann SMTP einrichten (mail.transport).
form-wrong = Im Formular stimmt etwas noch nicht:
optional = (freiwillig)
copy = Kopieren
password-show = Zeigen
password-hide = Verbergen
copied = Kopiert
pager = Seiten
pager-first = Erste Seite
pager-next = Nächste Seite
records = { $count ->
    [one] { $count } Datensatz
   *[other] { $count } Datensätze
}
requests = { $count ->
    [one] { $count } Anfrage
   *[other] { $count } Anfragen
}
never = nie
wrong-invalid-credentials = Die Adresse oder das Passwort ist falsch.
wrong-form-over = Dieses Formular ist von vor Ihrer An- oder Abmeldung. Hier ist es noch einmal: bitte senden Sie es erneut ab.
wrong-overloaded = Der Server hat gerade zu viel zu tun. Bitte versuchen Sie es in einigen Sekunden noch einmal.
wrong-unavailable = Der Server erreicht seine Daten gerade nicht. Nichts wurde geändert. Bitte versuchen Sie es in einer Minute noch einmal.
admin-nav-overview = Überblick
admin-nav-people = Personen
admin-nav-plans = Pläne
admin-nav-data = Datenbestände
admin-nav-imports = Importe
admin-nav-mail = E-Mail
admin-nav-undone = Fehlgeschlagenes
admin-nav-events = Ereignisse
admin-nav-tokens = Token
admin-nav-health = Zustand
usage-by-status = Die letzten { $days } Tage: wie Anfragen beantwortet wurden
usage-by-dataset = Die letzten { $days } Tage: was abgefragt wurde
usage-chart = { $title }: { $sum } Anfragen in { $days } Tagen. Die Zahlen stehen in der Tabelle darunter.
usage-table = Als Tabelle
usage-day = Tag (UTC)
usage-all = Alle
usage-answered = beantwortet
usage-refused = falsch oder nicht erlaubt (4xx)
usage-waited = zu viele (429)
usage-failed = Fehler des Servers (5xx)
usage-unknown = bevor das gezählt wurde
usage-no-dataset = kein Datensatz
usage-others = andere
