/** How short a password may be. */

/** Characters; the API, the configuration and the page ask for the same. */
export const leastPasswordLength = 10;
