data-sets-title = Datenbestände
data-sets-import = Datei importieren
data-sets-state = Stand
data-sets-records = Datensätze
data-sets-version = Version
data-sets-last = Letzter Import
data-sets-served = zugänglich
data-sets-withdrawn = zurückgezogen
data-sets-none = Es gibt noch keinen Datenbestand. <a href="{ $path }">Importieren Sie eine Datei</a>, dann entsteht der erste.
