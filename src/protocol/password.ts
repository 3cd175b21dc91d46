/** What the page has to know about passwords, without the schemas around them. */

export { leastPasswordLength } from '../lib/passwordLength.ts';
