-- Proxies that people have delegated to the house. Every key in these tables is sealed (handlers/proxy/vault.py).
CREATE SCHEMA proxy;

-- A key that waits for its owner's signature; used once, and then the key is with the proxy and no longer here.
CREATE TABLE proxy.delegations (
    owner text NOT NULL,
    delegation_id uuid NOT NULL,
    sealed_key bytea,
    csr_pem text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_for text,
    PRIMARY KEY (owner, delegation_id)
);

-- One for each name that a person has; registered_as is the name as the registry wrote it when it was deposited.
CREATE TABLE proxy.proxies (
    owner text NOT NULL,
    dn text NOT NULL,
    registered_as text NOT NULL,
    sealed bytea NOT NULL,
    fingerprint text NOT NULL,
    not_after timestamptz NOT NULL,
    deposited_at timestamptz NOT NULL,
    last_handed_at timestamptz,
    PRIMARY KEY (owner, dn)
);
CREATE UNIQUE INDEX proxies_fingerprint ON proxy.proxies (fingerprint);

-- The delegation is open, with the timer that closes it; one of that id that its owner has already is left as it is.
CREATE FUNCTION proxy.open_delegation(
    the_owner text, the_delegation uuid, the_key bytea, the_csr text, opened_at timestamptz, within_s integer
) RETURNS void LANGUAGE sql AS $$
    WITH opened AS (
        INSERT INTO proxy.delegations (owner, delegation_id, sealed_key, csr_pem, created_at, expires_at)
        VALUES (the_owner, the_delegation, the_key, the_csr, opened_at, now() + make_interval(secs => within_s))
        ON CONFLICT DO NOTHING RETURNING expires_at
    )
    INSERT INTO bus.timers
    SELECT 'delegation/' || the_owner || '/' || the_delegation, expires_at, 'proxy.delegation_expired.v1', the_delegation::text,
           jsonb_build_object('delegation_id', the_delegation, 'account', the_owner)
    FROM opened ON CONFLICT (timer) DO NOTHING
$$;

-- The proxy is deposited in place of its owner's last one of that name, its delegation is used up, and its end is armed;
-- or none of this, and false, when the delegation was used for another or is over.
CREATE FUNCTION proxy.deposit(
    the_owner text, the_delegation uuid, the_dn text, the_registered text, the_proxy bytea, the_fingerprint text,
    ends_at timestamptz, the_moment timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    replaced text;
BEGIN
    UPDATE proxy.delegations SET used_for = the_fingerprint, sealed_key = NULL
    WHERE owner = the_owner AND delegation_id = the_delegation AND used_for IS NULL AND expires_at > now();
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM proxy.proxies WHERE owner = the_owner AND dn = the_dn RETURNING fingerprint INTO replaced;
    DELETE FROM bus.timers WHERE timer = 'proxy/' || replaced;
    INSERT INTO proxy.proxies (owner, dn, registered_as, sealed, fingerprint, not_after, deposited_at)
    VALUES (the_owner, the_dn, the_registered, the_proxy, the_fingerprint, ends_at, the_moment);
    INSERT INTO bus.timers VALUES (
        'proxy/' || the_fingerprint, ends_at, 'proxy.expired.v1', the_owner,
        jsonb_build_object('account', the_owner, 'dn', the_dn, 'fingerprint', the_fingerprint));
    RETURN true;
END $$;
