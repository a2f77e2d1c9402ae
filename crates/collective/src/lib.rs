//! All-reduce, broadcast and barrier among training ranks.
