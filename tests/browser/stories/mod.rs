//! What people do with the pages.

mod administrators;
mod anybody;
mod below_a_prefix;
mod documentation;
pub(crate) mod entering;
mod every_page;
mod explorer;
mod hostile;
mod invited;
mod keyboard;
mod manager;
mod many_people;
mod provider;
mod second_factor;
mod states;
