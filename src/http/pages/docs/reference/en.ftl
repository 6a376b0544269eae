reference-title = Reference
reference-lead = Every request that a key or a session may make, with every column and operator, to be tried with your key.
reference-admin-title = Reference of the administration
reference-admin-lead = What administrators call, with an administrator’s token or the session of somebody whose role has it.
reference-for-programs = Programs read the same at <a href="{ $href }">{ $href }</a> (OpenAPI 3.1).
reference-noscript = This page needs JavaScript. What it shows is at <a href="{ $href }">{ $href }</a>.
reference-failed = The description of the interface cannot be read. Load the page again in a moment.
docs-nav = Documentation
docs-nav-guide = Guide
docs-nav-reference = Reference
docs-nav-admin = Administration
