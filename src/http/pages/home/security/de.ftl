home-security-title = Sicherheit und Einstellungen
home-security-must = In der Verwaltung braucht es hier einen zweiten Faktor. Richten Sie jetzt einen ein: alles andere öffnet sich danach.
home-security-factor = Zweiter Faktor
home-security-factor-on = an
home-security-factor-off = aus
home-security-factor-text = Mit einem zweiten Faktor braucht die Anmeldung neben dem Passwort einen Code aus einer App auf Ihrem Telefon. Wer nur Ihr Passwort erfährt, kommt nicht hinein.
home-security-factor-since = Er ist an seit { $when }.
home-security-codes-left = { $count ->
    [one] { $count } Wiederherstellungscode ist übrig.
   *[other] { $count } Wiederherstellungscodes sind übrig.
}
home-security-codes-few = Es sind nur noch wenige Wiederherstellungscodes übrig. Für neue entfernen Sie den zweiten Faktor und richten ihn wieder ein.
home-security-demanded = In der Verwaltung braucht es hier einen zweiten Faktor: wenn Sie ihn entfernen, müssen Sie sofort einen anderen einrichten.
home-security-factor-exists = Sie haben schon einen zweiten Faktor. Entfernen Sie ihn zuerst, wenn Sie einen anderen einrichten wollen.
home-security-begin = Zweiten Faktor einrichten
home-security-step-app = Öffnen Sie eine Authenticator-App auf Ihrem Telefon, etwa Aegis, FreeOTP, Google Authenticator oder Ihren Passwort-Manager.
home-security-step-scan = Nehmen Sie damit dieses Bild auf.
home-security-step-type = Oder tippen Sie dieses Geheimnis in die App:
home-security-secret = Geheimnis des zweiten Faktors
home-security-qr = QR-Code mit dem Geheimnis, das darunter steht
home-security-open-app = Die App auf diesem Gerät öffnen
home-security-code = Code
home-security-code-hint = Sechs Ziffern, die die App jetzt zeigt.
home-security-code-or-recovery = Sechs Ziffern aus der App, oder ein Wiederherstellungscode.
home-security-code-wrong = dieser Code stimmt nicht: nehmen Sie den, den die App jetzt zeigt, und prüfen Sie die Uhr Ihres Telefons
home-security-confirm = Einschalten
home-security-others-end = Wenn Sie ihn einschalten, enden Ihre anderen Sitzungen.
home-security-remove-open = Zweiten Faktor entfernen …
home-security-remove-text = Danach genügt zur Anmeldung das Passwort, und Ihre Wiederherstellungscodes gelten nicht mehr.
home-security-remove-do = Entfernen
home-security-factor-removed = Der zweite Faktor ist entfernt. Entfernen Sie auch seinen Eintrag in der App.
home-security-password = Passwort
home-security-password-text = Wenn Sie es ändern, enden Ihre anderen Sitzungen. Schlüssel gelten weiter.
home-security-current = Jetziges Passwort
home-security-current-wrong = das ist nicht Ihr jetziges Passwort
home-security-password-change = Passwort ändern
home-security-password-changed = Ihr Passwort ist geändert. Ihre anderen Sitzungen sind beendet.
home-security-password-forgotten = Ich habe das jetzige vergessen
home-security-no-password = Sie haben kein Passwort. Mit einem Link per E-Mail setzen Sie eines.
home-security-no-password-provider = Sie melden sich mit { $provider } an und haben hier kein Passwort. Sie können auch eines setzen, mit einem Link, der Ihnen gesendet wird.
home-security-password-link = Passwort mit einem Link setzen
home-security-sessions = Wo Sie angemeldet sind
home-security-sessions-text = Sie kennen eine davon nicht? Beenden Sie sie, und ändern Sie Ihr Passwort.
home-security-session-began = Angemeldet
home-security-session-used = Zuletzt gesehen
home-security-session-network = Aus
home-security-session-method = Mit
home-security-session-ends = Endet
home-security-session-this = diese hier
home-security-session-end = Beenden
home-security-session-ended = Die Sitzung ist beendet.
home-security-sessions-only = Diese ist die einzige.
home-security-others-open = Alle anderen beenden …
home-security-others-text = { $count ->
    [one] { $count } andere Sitzung endet sofort: wer sie benutzt, muss sich wieder anmelden. Diese hier bleibt.
   *[other] { $count } andere Sitzungen enden sofort: wer sie benutzt, muss sich wieder anmelden. Diese hier bleibt.
}
home-security-others-do = Alle anderen beenden
home-security-others-ended = { $count ->
    [0] Es gab keine andere Sitzung.
    [one] { $count } andere Sitzung ist beendet.
   *[other] { $count } andere Sitzungen sind beendet.
}
home-security-method-password = Passwort
home-security-method-password_and_code = Passwort und Code
home-security-method-password_and_recovery_code = Passwort und Wiederherstellungscode
home-security-method-provider = Anbieter
home-security-method-provider_and_its_factor = Anbieter mit dessen zweitem Faktor
home-security-method-provider_and_code = Anbieter und Code
home-security-method-provider_and_recovery_code = Anbieter und Wiederherstellungscode
home-security-notices = E-Mails, die Sie bekommen
home-security-notice-expiry = Bevor ein Schlüssel von Ihnen abläuft: 30 Tage, 7 Tage und 1 Tag vorher
home-security-notice-keys = Wenn jemand anderes einen Schlüssel von Ihnen macht oder widerruft
home-security-notice-quota = Wenn 80 % und 100 % der Anfragen eines Tages verbraucht sind
home-security-notices-save = Speichern
home-security-notices-chosen = Gespeichert. Sie bekommen die E-Mails, die angekreuzt sind.
home-security-data = Ihre Daten
home-security-data-text = Alles, was über Sie aufbewahrt wird, als eine Datei (JSON): Ihr Konto, Schlüssel ohne ihre Geheimnisse, Sitzungen, E-Mails, Nutzung, und was geschehen ist.
home-security-data-download = Ihre Daten herunterladen
home-security-delete = Ihr Konto löschen
home-security-delete-text = Bitten Sie darum, wer Sie eingeladen hat. Ihre Adresse, Ihr Name und alles, was sagt, wer Sie sind, wird dann für immer gelöscht; Ihre Schlüssel und Sitzungen enden sofort.
home-security-id = Kennung Ihres Kontos, für Nachfragen
