-- What an administrator has made or changed stays as it is when a file is loaded that says
-- otherwise: who manages the tree by calls is not undone by the next update of the product.
ALTER TABLE orgtree.organization ADD COLUMN by_call boolean NOT NULL DEFAULT false;
