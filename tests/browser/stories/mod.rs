//! What people do with the pages.

mod administrators;
mod anybody;
mod below_a_prefix;
mod documentation;
mod hostile;
mod invited;
