-- Refusals that came before the code was right are deleted long before the others.
CREATE INDEX registration_refused ON registration.registration (refusal, finished_at)
    WHERE step = 'REFUSED';
