-- Indexes for what deleting a host or a person looks up, one row at a time; one that nothing uses goes.

create index message_thread on message (thread) where thread is not null;
create index message_author on message (author) where author is not null;
create index enrolment_by_host on enrolment (host) where host is not null;
create index enrolment_use_by_host on enrolment_use (host);
drop index session_previous;
