/*
 * The status page at "/": text for a terminal, one self-contained HTML page
 * for a browser. Everything that came from outside is escaped.
 */
#pragma once

#include "base/strbuf.h"

/* The Content-Security-Policy of the page: nothing but its own style, by
 * hash. Free with mem_free. */
NODISCARD char *page_csp(void);

/* Appends s as HTML text or inside a quoted attribute; control characters and
 * bad UTF-8 as \xNN. */
void page_add_html(struct strbuf *out, struct str s);
