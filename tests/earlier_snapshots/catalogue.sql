BEGIN TRANSACTION;
CREATE TABLE accepted_leaks (
	use_case TEXT NOT NULL, 
	name TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	accepted_at DATETIME NOT NULL, 
	accepted_by TEXT NOT NULL, 
	PRIMARY KEY (use_case, name)
);
CREATE TABLE catalogue_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT catalogue_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "catalogue_version" VALUES('0007');
CREATE TABLE corrections (
	correction_id TEXT NOT NULL, 
	productid TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	"before" JSON NOT NULL, 
	"after" JSON NOT NULL, 
	corrected_at DATETIME NOT NULL, 
	corrected_by TEXT NOT NULL, 
	PRIMARY KEY (correction_id)
);
CREATE TABLE data_loads (
	batch_name TEXT NOT NULL, 
	week INTEGER NOT NULL, 
	percentage FLOAT NOT NULL, 
	total_rows INTEGER, 
	started_at DATETIME NOT NULL, 
	completed_at DATETIME, 
	status TEXT NOT NULL, 
	metadata JSON, 
	PRIMARY KEY (batch_name)
);
INSERT INTO "data_loads" VALUES('products/week-01/r1',1,40.0,26,'2026-11-29 12:14:32.242290','2026-11-29 12:14:32.529453','accepted','{"dataset": {"schema": 1, "uri": "@SNAPSHOTS@/products/week=01/r1-4e0cedffe089.parquet", "sha256": "4e0cedffe08906f2dd80679b21c6c0af11e9f7517885fd0d372d9b4c8c253d1f", "rows": 26, "use_case": "products", "week": 1, "as_of": "2026-01-05T00:00:00Z", "revision": 1, "train_rows": 18, "arrivals": 26, "classes": 3, "test": {"uri": "@SNAPSHOTS@/products/test/v1-ce808560ed25.parquet", "sha256": "ce808560ed2501a80cac9d88c6cab643b1b44412195bf3533001918275eed0ca", "rows": 15}, "test_version": "v1", "span": null}, "findings": []}');
CREATE TABLE "decisions" (
	decision_id TEXT NOT NULL, 
	use_case TEXT NOT NULL, 
	decided_at DATETIME NOT NULL, 
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
	model TEXT NOT NULL, 
	PRIMARY KEY (decision_id)
);
CREATE TABLE drift_looks (
	model TEXT NOT NULL, 
	until DATETIME NOT NULL, 
	looked_at DATETIME NOT NULL, 
	model_version TEXT NOT NULL, 
	samples INTEGER NOT NULL, 
	level TEXT NOT NULL, 
	drift_score FLOAT NOT NULL, 
	alarm BOOLEAN NOT NULL, 
	columns JSON NOT NULL, 
	live JSON, slices JSON, shares JSON, trends JSON, 
	PRIMARY KEY (model, until)
);
CREATE TABLE frozen_tests (
	use_case TEXT NOT NULL, 
	version TEXT NOT NULL, 
	frozen_at DATETIME NOT NULL, 
	frozen_by TEXT NOT NULL, 
	file JSON NOT NULL, 
	PRIMARY KEY (use_case, version)
);
CREATE TABLE inference_log (
	prediction_id TEXT NOT NULL, 
	timestamp DATETIME NOT NULL, 
	scored_at DATETIME NOT NULL, 
	productid TEXT, 
	predicted_class TEXT NOT NULL, 
	confidence FLOAT NOT NULL, 
	text_length INTEGER NOT NULL, 
	model_version TEXT NOT NULL, 
	use_case TEXT NOT NULL, text TEXT, group_key BIGINT, source TEXT, 
	PRIMARY KEY (prediction_id)
);
CREATE TABLE labels (
	productid TEXT NOT NULL, 
	prdtypecode TEXT, 
	PRIMARY KEY (productid), 
	FOREIGN KEY(productid) REFERENCES products (productid)
);
INSERT INTO "labels" VALUES('00001','toys');
INSERT INTO "labels" VALUES('00002','books');
INSERT INTO "labels" VALUES('00003','tools');
INSERT INTO "labels" VALUES('00004','toys');
INSERT INTO "labels" VALUES('00005','books');
INSERT INTO "labels" VALUES('00006','tools');
INSERT INTO "labels" VALUES('00007','toys');
INSERT INTO "labels" VALUES('00008','books');
INSERT INTO "labels" VALUES('00009','tools');
INSERT INTO "labels" VALUES('00010','toys');
INSERT INTO "labels" VALUES('00011','books');
INSERT INTO "labels" VALUES('00012','tools');
INSERT INTO "labels" VALUES('00014','books');
INSERT INTO "labels" VALUES('00015','tools');
INSERT INTO "labels" VALUES('00016','toys');
INSERT INTO "labels" VALUES('00017','books');
INSERT INTO "labels" VALUES('00018','tools');
INSERT INTO "labels" VALUES('00019','toys');
INSERT INTO "labels" VALUES('00020','books');
INSERT INTO "labels" VALUES('00021','tools');
INSERT INTO "labels" VALUES('00022','toys');
INSERT INTO "labels" VALUES('00023','books');
INSERT INTO "labels" VALUES('00024','tools');
INSERT INTO "labels" VALUES('00025','toys');
INSERT INTO "labels" VALUES('00027','tools');
INSERT INTO "labels" VALUES('00028','toys');
INSERT INTO "labels" VALUES('00029','books');
INSERT INTO "labels" VALUES('00030','tools');
INSERT INTO "labels" VALUES('00031','toys');
INSERT INTO "labels" VALUES('00032','books');
INSERT INTO "labels" VALUES('00033','tools');
INSERT INTO "labels" VALUES('00034','toys');
INSERT INTO "labels" VALUES('00035','books');
INSERT INTO "labels" VALUES('00036','tools');
INSERT INTO "labels" VALUES('00037','toys');
INSERT INTO "labels" VALUES('00038','books');
INSERT INTO "labels" VALUES('00040','toys');
INSERT INTO "labels" VALUES('00041','books');
INSERT INTO "labels" VALUES('00042','tools');
INSERT INTO "labels" VALUES('00043','toys');
INSERT INTO "labels" VALUES('00044','books');
INSERT INTO "labels" VALUES('00045','tools');
INSERT INTO "labels" VALUES('00046','toys');
INSERT INTO "labels" VALUES('00047','books');
INSERT INTO "labels" VALUES('00048','tools');
INSERT INTO "labels" VALUES('00049','toys');
INSERT INTO "labels" VALUES('00050','books');
INSERT INTO "labels" VALUES('00051','tools');
INSERT INTO "labels" VALUES('00053','books');
INSERT INTO "labels" VALUES('00054','tools');
INSERT INTO "labels" VALUES('00055','toys');
INSERT INTO "labels" VALUES('00056','books');
INSERT INTO "labels" VALUES('00057','tools');
INSERT INTO "labels" VALUES('00058','toys');
INSERT INTO "labels" VALUES('00059','books');
CREATE TABLE locks (
	name TEXT NOT NULL, 
	taken_at DATETIME NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "locks" VALUES('catalogue','2026-11-29 12:14:35.026494');
CREATE TABLE measurements (
	model TEXT NOT NULL, 
	version TEXT NOT NULL, 
	rival TEXT NOT NULL, 
	measured_at DATETIME NOT NULL, 
	measured JSON NOT NULL, 
	PRIMARY KEY (model, version, rival)
);
CREATE TABLE predictions (
	prediction_id TEXT NOT NULL, 
	use_case TEXT NOT NULL, 
	model TEXT NOT NULL, 
	model_version TEXT NOT NULL, 
	entity_id TEXT NOT NULL, 
	prediction TEXT NOT NULL, 
	score FLOAT NOT NULL, 
	details JSON NOT NULL, 
	timestamp DATETIME NOT NULL, 
	scored_at DATETIME NOT NULL, 
	snapshot TEXT, 
	PRIMARY KEY (prediction_id)
);
CREATE TABLE products (
	productid TEXT NOT NULL, 
	designation TEXT, 
	description TEXT, 
	imageid TEXT, 
	created_at DATETIME NOT NULL, 
	group_id TEXT, 
	text_key BIGINT, 
	text_cleaning BIGINT, source TEXT, 
	PRIMARY KEY (productid)
);
INSERT INTO "products" VALUES('00000','cordless drill no. 0','<p>model 0</p>',NULL,'2026-01-05 00:00:00.000000',NULL,-6947726546952644157,3,'goods');
INSERT INTO "products" VALUES('00001','plush bear no. 1',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-2421726081834017688,3,'goods');
INSERT INTO "products" VALUES('00002','atlas no. 2',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-5403813943071556633,3,'goods');
INSERT INTO "products" VALUES('00003','CORDLESS DRILL NO. 0','<p>model 0</p>',NULL,'2026-01-05 00:00:00.000000',NULL,-6947726546952644157,3,'goods');
INSERT INTO "products" VALUES('00004','marble run no. 4',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-2402183657663703063,3,'goods');
INSERT INTO "products" VALUES('00005','crime novel no. 5',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-7429762505627293980,3,'goods');
INSERT INTO "products" VALUES('00006','steel hammer no. 6','<p>model 6</p>',NULL,'2026-01-05 00:00:00.000000',NULL,4157337109556935892,3,'goods');
INSERT INTO "products" VALUES('00007','puzzle no. 7',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-7982320274870961448,3,'goods');
INSERT INTO "products" VALUES('00008','dictionary no. 8',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-7835258186737320465,3,'goods');
INSERT INTO "products" VALUES('00009','hand saw no. 9','<p>model 9</p>',NULL,'2026-01-05 00:00:00.000000',NULL,474113677834686907,3,'goods');
INSERT INTO "products" VALUES('00010','wooden train no. 10',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-613682760244788655,3,'goods');
INSERT INTO "products" VALUES('00011','cookery book no. 11',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-4531977292242261401,3,'goods');
INSERT INTO "products" VALUES('00012','torque wrench no. 12','<p>model 12</p>',NULL,'2026-01-05 00:00:00.000000',NULL,-4285283345871765257,3,'goods');
INSERT INTO "products" VALUES('00013','toy kitchen no. 13',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,8658045866574379466,3,'goods');
INSERT INTO "products" VALUES('00014','poetry volume no. 14',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,1576903341301744695,3,'goods');
INSERT INTO "products" VALUES('00015','cordless drill no. 15','<p>model 15</p>',NULL,'2026-01-05 00:00:00.000000',NULL,-8336838276369736320,3,'goods');
INSERT INTO "products" VALUES('00016','plush bear no. 16',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-212064289762463343,3,'goods');
INSERT INTO "products" VALUES('00017','atlas no. 17',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-391568110590767793,3,'goods');
INSERT INTO "products" VALUES('00018','angle grinder no. 18','<p>model 18</p>',NULL,'2026-01-05 00:00:00.000000',NULL,6220281516702652187,3,'goods');
INSERT INTO "products" VALUES('00019','marble run no. 19',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,868219264643120890,3,'goods');
INSERT INTO "products" VALUES('00020','crime novel no. 20',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-2937811866586641951,3,'goods');
INSERT INTO "products" VALUES('00021','steel hammer no. 21','<p>model 21</p>',NULL,'2026-01-05 00:00:00.000000',NULL,8833742535607015846,3,'goods');
INSERT INTO "products" VALUES('00022','puzzle no. 22',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-9132319756365445871,3,'goods');
INSERT INTO "products" VALUES('00023','CRIME NOVEL NO. 20',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-2937811866586641951,3,'goods');
INSERT INTO "products" VALUES('00024','hand saw no. 24','<p>model 24</p>',NULL,'2026-01-05 00:00:00.000000',NULL,-2353253418705597361,3,'goods');
INSERT INTO "products" VALUES('00025','wooden train no. 25',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-7355133131413406070,3,'goods');
INSERT INTO "products" VALUES('00026','cookery book no. 26',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-2175250623748416741,3,'goods');
INSERT INTO "products" VALUES('00027','torque wrench no. 27','<p>model 27</p>',NULL,'2026-01-05 00:00:00.000000',NULL,2814616254120135633,3,'goods');
INSERT INTO "products" VALUES('00028','toy kitchen no. 28',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-9023032232839420965,3,'goods');
INSERT INTO "products" VALUES('00029','poetry volume no. 29',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,4908363290238904711,3,'goods');
INSERT INTO "products" VALUES('00030','cordless drill no. 30','<p>model 30</p>',NULL,'2026-01-05 00:00:00.000000',NULL,3021395244789513748,3,'goods');
INSERT INTO "products" VALUES('00031','plush bear no. 31',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-6138231427319693940,3,'goods');
INSERT INTO "products" VALUES('00032','atlas no. 32',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,1336606063184883746,3,'goods');
INSERT INTO "products" VALUES('00033','angle grinder no. 33','<p>model 33</p>',NULL,'2026-01-05 00:00:00.000000',NULL,6694206400499670322,3,'goods');
INSERT INTO "products" VALUES('00034','marble run no. 34',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-4582449688922327185,3,'goods');
INSERT INTO "products" VALUES('00035','crime novel no. 35',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,1612496643673815840,3,'goods');
INSERT INTO "products" VALUES('00036','steel hammer no. 36','<p>model 36</p>',NULL,'2026-01-05 00:00:00.000000',NULL,8470245894614551693,3,'goods');
INSERT INTO "products" VALUES('00037','puzzle no. 37',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-1043672225975357720,3,'goods');
INSERT INTO "products" VALUES('00038','dictionary no. 38',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-8346139370643793601,3,'goods');
INSERT INTO "products" VALUES('00039','hand saw no. 39','<p>model 39</p>',NULL,'2026-01-05 00:00:00.000000',NULL,2551917103621922271,3,'goods');
INSERT INTO "products" VALUES('00040','wooden train no. 40',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,5989392688058111115,3,'goods');
INSERT INTO "products" VALUES('00041','cookery book no. 41',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,9050624655523172709,3,'goods');
INSERT INTO "products" VALUES('00042','torque wrench no. 42','<p>model 42</p>',NULL,'2026-01-05 00:00:00.000000',NULL,5384979549298305427,3,'goods');
INSERT INTO "products" VALUES('00043','WOODEN TRAIN NO. 40',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,5989392688058111115,3,'goods');
INSERT INTO "products" VALUES('00044','poetry volume no. 44',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,285289506382733987,3,'goods');
INSERT INTO "products" VALUES('00045','cordless drill no. 45','<p>model 45</p>',NULL,'2026-01-05 00:00:00.000000',NULL,5792966319495276523,3,'goods');
INSERT INTO "products" VALUES('00046','plush bear no. 46',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,3051865488363611291,3,'goods');
INSERT INTO "products" VALUES('00047','atlas no. 47',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,2409643769784810774,3,'goods');
INSERT INTO "products" VALUES('00048','angle grinder no. 48','<p>model 48</p>',NULL,'2026-01-05 00:00:00.000000',NULL,-3474976758208325801,3,'goods');
INSERT INTO "products" VALUES('00049','marble run no. 49',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,1560312721891023015,3,'goods');
INSERT INTO "products" VALUES('00050','crime novel no. 50',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-8868991316668845265,3,'goods');
INSERT INTO "products" VALUES('00051','steel hammer no. 51','<p>model 51</p>',NULL,'2026-01-05 00:00:00.000000',NULL,6809913518296917760,3,'goods');
INSERT INTO "products" VALUES('00052','puzzle no. 52',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,1130275317796198872,3,'goods');
INSERT INTO "products" VALUES('00053','dictionary no. 53',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-2760146328827776934,3,'goods');
INSERT INTO "products" VALUES('00054','hand saw no. 54','<p>model 54</p>',NULL,'2026-01-05 00:00:00.000000',NULL,-7993384545192746746,3,'goods');
INSERT INTO "products" VALUES('00055','wooden train no. 55',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-3413919209967747367,3,'goods');
INSERT INTO "products" VALUES('00056','cookery book no. 56',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,-5743611509760324042,3,'goods');
INSERT INTO "products" VALUES('00057','torque wrench no. 57','<p>model 57</p>',NULL,'2026-01-05 00:00:00.000000',NULL,3010274672916622180,3,'goods');
INSERT INTO "products" VALUES('00058','toy kitchen no. 58',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,3242188452794274726,3,'goods');
INSERT INTO "products" VALUES('00059','poetry volume no. 59',NULL,NULL,'2026-01-05 00:00:00.000000',NULL,7496905915439995558,3,'goods');
CREATE TABLE retrainings (
	model TEXT NOT NULL, 
	until DATETIME NOT NULL, 
	claimed_by TEXT NOT NULL, 
	started_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	status TEXT NOT NULL, 
	outcome TEXT, 
	PRIMARY KEY (model, until)
);
CREATE TABLE sources (
	name TEXT NOT NULL, 
	loaded_at DATETIME NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "sources" VALUES('goods','2026-11-29 12:14:32.112654');
CREATE TABLE test_looks (
	model TEXT NOT NULL, 
	sha256 TEXT NOT NULL, 
	look_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	looked_at DATETIME NOT NULL, 
	PRIMARY KEY (model, sha256, look_id)
);
CREATE INDEX inference_log_window ON inference_log (use_case, timestamp, model_version, prediction_id);
CREATE TRIGGER text_key_forgotten AFTER UPDATE OF designation, description ON products
BEGIN UPDATE products SET text_key = NULL WHERE productid = NEW.productid; END;
CREATE INDEX decisions_by_moment ON decisions (model, decided_at);
CREATE INDEX predictions_window ON predictions (model, timestamp, model_version, prediction_id);
COMMIT;