-- Until here the comment was that what a request says stands in clear beside its digest. What an
-- application says of whom to ask does not, once it has ended.
COMMENT ON COLUMN orgtree.request.digest IS
    'Of the request, so that another one is told apart. Under a key where what it says is deleted '
    'before it; else without: it stands in clear beside it.';
