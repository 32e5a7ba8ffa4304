/** The version of the package; a test compares it with package.json, so that no file has to be found and read at start-up. */
export const version = "0.1.0"
