/** What `--compress` takes; apart from the code that compresses, which `--help` does not load. */
export const compressionNames = ["gzip", "zstd", "brotli", "none"] as const
