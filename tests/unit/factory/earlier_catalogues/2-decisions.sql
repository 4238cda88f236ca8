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
CREATE INDEX IF NOT EXISTS inference_log_window ON inference_log (use_case, timestamp);
CREATE TABLE IF NOT EXISTS locks (
    name TEXT NOT NULL,
    taken_at {moment} NOT NULL,
    PRIMARY KEY (name)
);
CREATE TABLE IF NOT EXISTS products (
    productid {id} NOT NULL,
    designation TEXT,
    description TEXT,
    imageid TEXT,
    created_at {moment} NOT NULL,
    group_id TEXT,
    PRIMARY KEY (productid)
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
