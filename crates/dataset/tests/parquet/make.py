"""Writes the Parquet files of this folder with pyarrow, polars and duckdb, which are not needed to test with them."""

import pyarrow as pa, pyarrow.parquet as pq, datetime, decimal
msgs=[[{"role":"user","content":"hello %d"%i},{"role":"assistant","content":"hi %d"%i}] for i in range(3)]
t=pa.table({"messages":pa.array(msgs)})
pq.write_table(t,"messages.parquet",compression="snappy")
t=pa.table({"prompt":["count %d"%i for i in range(6)],"response":["it is %d"%i for i in range(6)]})
pq.write_table(t,"pairs.parquet",compression="snappy",row_group_size=2)
pq.write_table(t,"plain.parquet",compression="none",use_dictionary=False)
pq.write_table(t,"gzip.parquet",compression="gzip",data_page_version="2.0")
pq.write_table(t,"zstd.parquet",compression="zstd")
pq.write_table(t,"zstd2.parquet",compression="zstd",data_page_version="2.0")
pq.write_table(t,"lz4.parquet",compression="lz4")
pq.write_table(t,"brotli.parquet",compression="brotli")
try:
    import polars, duckdb
    polars.DataFrame({name:t[name].to_pylist() for name in t.column_names}).write_parquet("polars.parquet")
    duckdb.sql("create table pairs as select 'count ' || i as prompt, 'it is ' || i as response from range(6) r(i)")
    for codec in ["zstd","lz4_raw"]:
        duckdb.sql(f"copy pairs to 'duckdb_{codec}.parquet' (format parquet, codec {codec})")
except ImportError as missing:
    print(missing, "and the files of polars and duckdb are as they were")
pq.write_table(t,"sums.parquet",compression="none",use_dictionary=False,write_page_checksum=True)
t=pa.table({
 "b":pa.array([True,None,False]),
 "i8":pa.array([1,-2,None],pa.int8()),
 "u64":pa.array([2**64-1,0,None],pa.uint64()),
 "f32":pa.array([0.1,float("nan"),None],pa.float32()),
 "f64":pa.array([1.5,-0.25,None],pa.float64()),
 "day":pa.array([datetime.date(2024,2,29),None,datetime.date(1969,12,31)]),
 "ms":pa.array([datetime.datetime(2024,2,29,12,30,1,5000),None,None],pa.timestamp("ms")),
 "us":pa.array([datetime.datetime(2024,2,29,12,30,1,5),None,None],pa.timestamp("us",tz="UTC")),
 "dec":pa.array([decimal.Decimal("12.50"),decimal.Decimal("-0.05"),None],pa.decimal128(10,2)),
 "bin":pa.array([b"text",b"caf\xc3\xa9",None]),
 "tags":pa.array([["a","b"],[],None]),
 "map":pa.array([[("k","v")],[],None],pa.map_(pa.string(),pa.string())),
 "deep":pa.array([{"a":[{"x":1,"y":None}]},{"a":None},None]),
})
pq.write_table(t,"values.parquet",compression="snappy")
t=pa.table({"a":pa.array([b"ok",b"\xff\xfe",b"ok"])})
pq.write_table(t,"no_utf8.parquet",compression="none")
t=pa.table({"a":pa.array([],pa.string())})
pq.write_table(t,"empty.parquet")
