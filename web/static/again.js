// Looks again while a cohort is being opened.
"use strict";
setTimeout(() => location.reload(), 2000);
