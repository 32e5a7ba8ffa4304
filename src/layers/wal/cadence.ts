/* How often the log does what costs a system call, or a turn. */

/**
 * How long a buffered acknowledgement relies on the last look at who owns the directory; a synced one always looks itself. It costs a system call, as much as the write of a small
 * group, and "buffered" promises no more than the operating system's memory.
 */
export const ownedMsMax = 1

/**
 * So many groups of a single transaction are written by the callers themselves before one is left to the committer, to see whether others come along: among many writers that take
 * turns no caller would ever meet company, and each would pay for a write of its own.
 */
export const ledInRowMax = 32
/** A group of so many is worth a write of its own: it waits no longer for the turn of the event loop to end. */
export const companyMax = 32

/** A segment that was synced more often than once in so many bytes is followed by one that is filled with zeros beforehand. */
export const frequentSyncBytes = 16_384
