definitions-title = Definitions of data sets
definitions-lead = What can be written into the definition of a data set: how its columns are called, where their values come from, what is published, and what it says about itself.
