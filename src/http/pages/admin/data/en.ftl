data-sets-title = Data sets
data-sets-import = Import a file
data-sets-state = State
data-sets-records = Records
data-sets-version = Version
data-sets-last = Last import
data-sets-served = served
data-sets-withdrawn = withdrawn
data-sets-none = There is no data set yet. <a href="{ $path }">Import a file</a> to make the first.
