CREATE TABLE IF NOT EXISTS corrections (
    correction_id TEXT NOT NULL,
    productid {id} NOT NULL,
    kind TEXT NOT NULL,
    "before" JSON NOT NULL,
    "after" JSON NOT NULL,
    corrected_at {moment} NOT NULL,
    corrected_by TEXT NOT NULL,
    PRIMARY KEY (correction_id)
);
CREATE TABLE IF NOT EXISTS data_loads (
    batch_name TEXT NOT NULL,
    week INTEGER NOT NULL,
    percentage FLOAT NOT NULL,
    total_rows INTEGER,
    started_at {moment} NOT NULL,
    completed_at {moment},
    status TEXT NOT NULL,
    metadata JSON,
    PRIMARY KEY (batch_name)
);
CREATE TABLE IF NOT EXISTS decisions (
    decision_id TEXT NOT NULL,
    use_case TEXT NOT NULL,
    decided_at {moment} NOT NULL,
    decided_by TEXT NOT NULL,
    outcome TEXT NOT NULL,
    rule TEXT NOT NULL,
    reason TEXT NOT NULL,
    challenger_version TEXT NOT NULL,
    champion_version TEXT,
    previous_champion_version TEXT,
    approved_by TEXT,
    rejected_by TEXT,
    dataset JSON NOT NULL,
    result JSON NOT NULL,
    flow_run_url TEXT,
    PRIMARY KEY (decision_id)
);
CREATE INDEX IF NOT EXISTS decisions_by_moment ON decisions (use_case, decided_at);
CREATE TABLE IF NOT EXISTS drift_looks (
    use_case TEXT NOT NULL,
    until {moment} NOT NULL,
    looked_at {moment} NOT NULL,
    model_version TEXT NOT NULL,
    samples INTEGER NOT NULL,
    level TEXT NOT NULL,
    drift_score FLOAT NOT NULL,
    alarm BOOLEAN NOT NULL,
    columns JSON NOT NULL,
    live JSON,
    PRIMARY KEY (use_case, until)
);
CREATE TABLE IF NOT EXISTS inference_log (
    prediction_id TEXT NOT NULL,
    timestamp {moment} NOT NULL,
    scored_at {moment} NOT NULL,
    productid {id},
    predicted_class TEXT NOT NULL,
    confidence FLOAT NOT NULL,
    text_length INTEGER NOT NULL,
    model_version TEXT NOT NULL,
    use_case TEXT NOT NULL,
    PRIMARY KEY (prediction_id)
);
CREATE INDEX IF NOT EXISTS inference_log_window ON inference_log (use_case, timestamp, model_version, prediction_id);
CREATE TABLE IF NOT EXISTS locks (
    name TEXT NOT NULL,
    taken_at {moment} NOT NULL,
    PRIMARY KEY (name)
);
CREATE TABLE IF NOT EXISTS measurements (
    use_case TEXT NOT NULL,
    version TEXT NOT NULL,
    rival TEXT NOT NULL,
    measured_at {moment} NOT NULL,
    measured JSON NOT NULL,
    PRIMARY KEY (use_case, version, rival)
);
CREATE TABLE IF NOT EXISTS products (
    productid {id} NOT NULL,
    designation TEXT,
    description TEXT,
    imageid TEXT,
    created_at {moment} NOT NULL,
    group_id TEXT,
    text_key BIGINT,
    text_cleaning BIGINT,
    PRIMARY KEY (productid)
);
CREATE TABLE IF NOT EXISTS retrainings (
    use_case TEXT NOT NULL,
    until {moment} NOT NULL,
    claimed_by TEXT NOT NULL,
    started_at {moment} NOT NULL,
    ended_at {moment},
    status TEXT NOT NULL,
    outcome TEXT,
    PRIMARY KEY (use_case, until)
);
CREATE TABLE IF NOT EXISTS sources (
    name TEXT NOT NULL,
    loaded_at {moment} NOT NULL,
    PRIMARY KEY (name)
);
CREATE TABLE IF NOT EXISTS labels (
    productid {id} NOT NULL,
    prdtypecode TEXT,
    PRIMARY KEY (productid),
    FOREIGN KEY(productid) REFERENCES products (productid)
);
{trigger};
