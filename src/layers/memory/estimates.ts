/** Bytes encoded but not written above which newcomers wait for the group ahead: what bounds the memory of a burst. */
export const pendingBytesMax = (memoryBytes: number): number => Math.min(16 << 20, memoryBytes / 8)

/** What a flush or compaction holds while it runs: blocks read ahead of its inputs, an output on its way to the disk, its filter. */
export const jobBytes = (memtableBytes: number): number => Math.min(4 << 20, memtableBytes)

/** A lease with what hands it around, and the lists of a transaction that has read a few keys. */
export const snapshotBytes = 1024
