# Das Protokoll, und was geschehen ist in Sätzen: einer für jede Art von Ereignis.
events-title = Ereignisse
events-lead = Alles, was hier getan wurde, das Neueste zuerst. An diesem Protokoll wird nie etwas geändert.
events-by-server = vom Server
events-by-themselves = von der Person selbst
events-by-operator = vom Betrieb über die Befehlszeile
events-by-administrator = von der Verwaltung
events-somebody = Jemand
events-ids = Einzelheiten
events-id-event = Ereignis
events-id-type = Art
events-id-stream = Folge, Version
events-id-actor = Getan von
events-id-request = Anfrage
events-unknown = Es ist etwas geschehen, das diese Version des Servers nicht kennt.
events-filter-type = Was geschehen ist
events-filter-any = Alles
events-filter-since = Von
events-filter-until = Vor
events-filter-moment = UTC, zum Beispiel 2026-03-01T12:00:00Z, oder ein Tag
events-filter-person = Nur von dieser Person
events-filter-request = Nur von dieser Anfrage
events-filter = Anzeigen
events-filter-all = Alles anzeigen
events-no-type = Wählen Sie etwas aus der Liste
events-no-moment = Schreiben Sie einen Zeitpunkt wie 2026-03-01T12:00:00Z oder einen Tag wie 2026-03-01
events-no-person = Das ist nicht die Kennung einer Person
events-empty = Nichts dieser Art steht im Protokoll. Wählen Sie eine andere Art oder einen längeren Zeitraum.
events-empty-part = Nichts dieser Art steht in diesem Teil des Protokolls. Es geht auf der nächsten Seite weiter.
events-person = Die Person

event-user-invited = { $person } wurde { $by } eingeladen, mit der Rolle { $role } und dem Plan { $plan }.
event-invitation-resent = Die Einladung an { $person } wurde { $by } noch einmal verschickt.
event-invitation-accepted = { $person } hat zum ersten Mal nach Daten gefragt.
event-user-disabled = { $person } wurde { $by } gesperrt.
event-user-enabled = { $person } wurde { $by } freigegeben.
event-user-deleted = { $person } wurde { $by } gelöscht: Alle Schlüssel sind beendet, Name und Adresse getilgt.
event-role-changed = { $person } bekam { $by } die Rolle { $role }.
event-plan-assigned = { $person } bekam { $by } den Plan { $plan }.
event-api-key-issued = Ein Schlüssel mit der Endung { $key } wurde { $for ->
    [invitation] für eine Einladung erzeugt.
   *[use] { $by } ausgestellt.
}
event-api-key-changed = Name oder Grenzen des Schlüssels mit der Endung { $key } wurden { $by } geändert.
event-api-key-expiring = Es wurde bemerkt, dass der Schlüssel mit der Endung { $key } abläuft, und zwar innerhalb { $days ->
    [one] eines Tages ({ $days }).
   *[other] von { $days } Tagen.
}
event-api-key-mailed = Der Schlüssel mit der Endung { $key } wurde per E-Mail verschickt.
event-api-key-rotated = Der Schlüssel mit der Endung { $key } wurde { $by } durch den mit der Endung { $new } ersetzt. Der alte galt bis { $until }.
event-api-key-revoked = Der Schlüssel mit der Endung { $key } wurde { $by } widerrufen{ $reason ->
    [leaked] , weil er dort gefunden wurde, wo andere ihn lesen konnten.
    [user_deleted] , weil die Person gelöscht wurde.
   *[other] .
}
event-leak-notice-mailed = { $outcome ->
    [refused] Das Mailsystem hat die E-Mail abgelehnt, die { $to } sagen sollte, dass der Schlüssel mit der Endung { $key } bekannt geworden war.
   *[mailed] { $to } wurde per E-Mail gesagt, dass der Schlüssel mit der Endung { $key } bekannt geworden war.
}
event-mail-failed = Das Mailsystem hat eine E-Mail an { $person } abgelehnt: { $class }.
event-quota-reached = { $person } hatte { $percent } % der Anfragen eines Tages verbraucht.
event-notices-chosen = Die Hinweise, die { $person } per E-Mail bekommt, wurden { $by } gewählt.
event-notice-mailed = { $person } bekam per E-Mail einen Hinweis: { $notice ->
    [made] ein neuer Schlüssel.
    [revoked] ein widerrufener Schlüssel.
    [expiring] ein Schlüssel, der abläuft.
   *[quota] wie viel von den Anfragen des Tages verbraucht ist.
}
event-notice-failed = Das Mailsystem hat einen Hinweis an { $person } abgelehnt ({ $notice ->
    [made] ein neuer Schlüssel
    [revoked] ein widerrufener Schlüssel
    [expiring] ein Schlüssel, der abläuft
   *[quota] wie viel von den Anfragen des Tages verbraucht ist
}): { $class }.
event-mail-bounced = Eine E-Mail an { $person } kam { $kind ->
    [permanent] endgültig
   *[transient] vorerst
} zurück: { $class }.
event-mail-complained = { $person } hat eine E-Mail als unerwünscht gemeldet: { $class }.
event-mail-allowed = E-Mail an { $person } wurde { $by } wieder erlaubt.
event-link-issued = Ein Link { $purpose ->
    [invitation] zum Setzen des ersten Passworts
    [password] zum Setzen eines anderen Passworts
   *[key] zum Ansehen des Schlüssels
} wurde für { $person } erzeugt. Er gilt bis { $until }.
event-link-mailed = Ein Link wurde per E-Mail an { $person } verschickt.
event-link-used = { $person } hat einen Link benutzt.
event-link-voided = Ein Link von { $person } wurde dort gefunden, wo andere ihn lesen konnten, und beendet.
event-password-set = { $person } hat ein Passwort gesetzt.
event-password-rehashed = Das Passwort von { $person } wurde neu gespeichert, so wie es die Einstellungen jetzt sagen.
event-session-started = { $person } hat sich angemeldet, { $method ->
    [password_and_code] mit Passwort und Code
    [password_and_recovery_code] mit Passwort und Wiederherstellungscode
    [provider] beim Anbieter
    [provider_and_its_factor] beim Anbieter, mit einem zweiten Faktor dort
    [provider_and_code] beim Anbieter und mit einem Code
    [provider_and_recovery_code] beim Anbieter und mit einem Wiederherstellungscode
   *[password] mit Passwort
}.
event-session-seen = { $person } war noch angemeldet.
event-session-ended = Eine Sitzung von { $person } endete{ $reason ->
    [signed_out] {" "}durch Abmelden
    [ended_by_owner] : von anderswo beendet
    [ended_by_administrator] : von der Verwaltung beendet
    [password_changed] , weil ein anderes Passwort gesetzt wurde
    [disabled] , weil die Person gesperrt wurde
    [deleted] , weil die Person gelöscht wurde
    [role_changed] , weil sich die Rolle geändert hat
    [too_many] , weil es neuere gab, so viele wie eine Person haben darf
    [leaked] , weil ihr Token dort gefunden wurde, wo andere es lesen konnten
   *[other] {""}
}.
event-second-factor-begun = { $person } hat begonnen, einen zweiten Faktor einzurichten.
event-second-factor-confirmed = { $person } hat einen zweiten Faktor eingerichtet.
event-second-factor-used = { $person } hat { $code ->
    [recovery] einen Wiederherstellungscode
   *[usual] einen Code des zweiten Faktors
} gezeigt.
event-second-factor-removed = Der zweite Faktor von { $person } wurde { $by } entfernt.
event-plan-defined = Der Plan { $plan } wurde { $by } festgelegt. Anfragen je Sekunde: { $rate }; auf einmal: { $burst }; am Tag: { $quota }.
event-plan-retired = Der Plan { $plan } wurde { $by } zurückgezogen: Niemand bekommt ihn neu.
event-admin-token-issued = Das Verwaltungstoken „{ $name }“ wurde { $by } erzeugt. Es darf { $access ->
    [read] lesen: { $may }.
   *[write] lesen und ändern: { $may }.
}
event-admin-token-revoked = Das Verwaltungstoken „{ $name }“ wurde { $by } widerrufen.
event-import-started = Ein Import von { $file } in { $dataset } wurde { $by } begonnen, { $mode ->
    [replace] um alle Datensätze zu ersetzen.
   *[merge] um die Datensätze zu ergänzen.
}
event-import-completed = Ein Import in { $dataset } wurde abgeschlossen: { $inserted } neu, { $updated } geändert, { $removed } entfernt, { $rejected } abgelehnt.
event-import-failed = Ein Import in { $dataset } ist gescheitert: { $reason }.
event-import-held = Ein Import in { $dataset } wartet auf Freigabe: { $reason }.
event-import-approved = Ein Import in { $dataset } wurde { $by } freigegeben.
event-import-discarded = Ein Import in { $dataset } wurde { $by } verworfen{ $why ->
    [told] : { $reason }.
   *[none] .
}
event-import-cancelled = Ein Import in { $dataset } wurde { $by } abgebrochen.
event-data-set-withdrawn = Der Datenbestand { $dataset } wurde { $by } zurückgezogen: Niemand liest ihn.
event-data-set-restored = Der Datenbestand { $dataset } wurde { $by } wieder veröffentlicht.
event-data-set-removed = Der Datenbestand { $dataset } wurde { $by } entfernt, mit allem, was er bis Version { $version } war.
event-data-set-renamed = Der Datenbestand { $dataset } wurde { $by } in { $to } umbenannt.
event-data-set-taken-over = Der Datenbestand { $dataset } hat { $records ->
    [one] { $records } Datensatz
   *[other] { $records } Datensätze
} von { $from } übernommen.

events-type-admin-token-issued = Ein Token wurde erzeugt
events-type-admin-token-revoked = Ein Token wurde widerrufen
events-type-api-key-changed = Ein Schlüssel wurde geändert
events-type-api-key-expiring = Ein Schlüssel läuft bald ab
events-type-api-key-issued = Ein Schlüssel wurde ausgestellt
events-type-api-key-mailed = Ein Schlüssel wurde verschickt
events-type-api-key-revoked = Ein Schlüssel wurde widerrufen
events-type-api-key-rotated = Ein Schlüssel wurde ersetzt
events-type-data-set-removed = Ein Datenbestand wurde entfernt
events-type-data-set-renamed = Ein Datenbestand wurde umbenannt
events-type-data-set-restored = Ein Datenbestand wurde wieder veröffentlicht
events-type-data-set-taken-over = Ein Datenbestand hat einen anderen übernommen
events-type-data-set-withdrawn = Ein Datenbestand wurde zurückgezogen
events-type-import-approved = Ein Import wurde freigegeben
events-type-import-cancelled = Ein Import wurde abgebrochen
events-type-import-completed = Ein Import wurde abgeschlossen
events-type-import-discarded = Ein Import wurde verworfen
events-type-import-failed = Ein Import ist gescheitert
events-type-import-held = Ein Import wurde angehalten
events-type-import-started = Ein Import hat begonnen
events-type-invitation-accepted = Jemand hat zum ersten Mal nach Daten gefragt
events-type-invitation-resent = Eine Einladung wurde noch einmal verschickt
events-type-leak-notice-mailed = Vor einem bekannt gewordenen Schlüssel wurde gewarnt
events-type-link-issued = Ein Link wurde erzeugt
events-type-link-mailed = Ein Link wurde verschickt
events-type-link-used = Ein Link wurde benutzt
events-type-link-voided = Ein Link wurde beendet
events-type-mail-allowed = E-Mail wurde wieder erlaubt
events-type-mail-bounced = Eine E-Mail kam zurück
events-type-mail-complained = Eine E-Mail war unerwünscht
events-type-mail-failed = Eine E-Mail wurde abgelehnt
events-type-notice-failed = Ein Hinweis wurde abgelehnt
events-type-notice-mailed = Ein Hinweis wurde verschickt
events-type-notices-chosen = Hinweise wurden gewählt
events-type-password-rehashed = Ein Passwort wurde neu gespeichert
events-type-password-set = Ein Passwort wurde gesetzt
events-type-plan-assigned = Ein Plan wurde vergeben
events-type-plan-defined = Ein Plan wurde festgelegt
events-type-plan-retired = Ein Plan wurde zurückgezogen
events-type-quota-reached = Ein Teil der Anfragen eines Tages war verbraucht
events-type-role-changed = Eine Rolle wurde vergeben
events-type-second-factor-begun = Ein zweiter Faktor wurde begonnen
events-type-second-factor-confirmed = Ein zweiter Faktor wurde eingerichtet
events-type-second-factor-removed = Ein zweiter Faktor wurde entfernt
events-type-second-factor-used = Ein zweiter Faktor wurde benutzt
events-type-session-ended = Eine Sitzung endete
events-type-session-seen = Eine Sitzung wurde benutzt
events-type-session-started = Jemand hat sich angemeldet
events-type-user-deleted = Jemand wurde gelöscht
events-type-user-disabled = Jemand wurde gesperrt
events-type-user-enabled = Jemand wurde freigegeben
events-type-user-invited = Jemand wurde eingeladen
