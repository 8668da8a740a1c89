/** Untrusted values in messages. The functions are in a layer of their own, because all layers need them. */

export { excerpt, plainNumber, quoted, shown, waitingTime } from "../text/untrusted";
