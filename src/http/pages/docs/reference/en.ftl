reference-title = Reference
reference-lead = Every request that a key or a session may make. Each has a page with all that it takes and answers, and a line to copy.
reference-admin-title = Reference of the administration
reference-admin-lead = What administrators call, with an administrator’s token or the session of somebody whose role has it.
reference-english = The descriptions are in English.
reference-for-programs = Programs read the same at <a href="{ $href }">{ $href }</a> (OpenAPI 3.1).
