-- What the service of the tests does.
CREATE TABLE audit_test.act (
    n bigint PRIMARY KEY
);
