#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "net/http_priv.h"

/* What the library says of its first failure, without the ends of its line and
 * sentence. */
struct saying {
    char text[192];
};

static void listen_to(void *context, const char *fmt, va_list args)
    PRINTF_LIKE(2, 0);

static void listen_to(void *context, const char *fmt, va_list args)
{
    struct saying *s = context;
    if (s->text[0] == '\0') {
        (void)vsnprintf(s->text, sizeof(s->text), fmt, args);
        s->text[strcspn(s->text, "\n")] = '\0';
        size_t len = strlen(s->text);
        if (len > 0 && s->text[len - 1] == '.') {
            s->text[len - 1] = '\0';
        }
    }
}

/* Only the library that will use the pair knows whether it can. Nothing ever
 * connects to this one. */
static int try_pair(const char *certificate, const char *key,
                    struct err *reterr)
{
    struct saying saying = {.text = ""};
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_TLS | MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET |
            MHD_USE_ERROR_LOG,
        0, NULL, NULL, http_on_access, NULL, MHD_OPTION_EXTERNAL_LOGGER,
        listen_to, &saying, MHD_OPTION_HTTPS_MEM_CERT, certificate,
        MHD_OPTION_HTTPS_MEM_KEY, key, MHD_OPTION_END);
    if (daemon != NULL) {
        MHD_stop_daemon(daemon);
        return 0;
    }
    err_hint(reterr, "the key must be the certificate's, both PEM");
    return err_set(reterr, -EINVAL,
                   "the certificate and the key are no pair%s%s",
                   saying.text[0] != '\0' ? ": " : "", saying.text);
}

int http_check_tls(const char *certificate, const char *key, struct err *reterr)
{
    CLEANUP(mem_freep) char *certificate_text = NULL;
    CLEANUP(mem_freep) char *key_text = NULL;
    err_field(reterr, "server.tls.cert");
    int r = http_read_pem(certificate, &certificate_text, reterr);
    if (r == 0) {
        err_field(reterr, "server.tls.key");
        r = http_read_pem(key, &key_text, reterr);
    }
    if (r == 0) {
        r = try_pair(certificate_text, key_text, reterr);
    }
    if (key_text != NULL) {
        explicit_bzero(key_text, strlen(key_text));
    }
    return r;
}
