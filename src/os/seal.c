#include "os/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/fd.h"

#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES
#define BASE64 sodium_base64_VARIANT_ORIGINAL

_Static_assert(SEAL_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
               "the key file holds a key of this cipher");

struct seal {
    unsigned char key[SEAL_KEY_BYTES];
};

/* ---- the key ------------------------------------------------------------ */

static int open_key(const char *path, struct err *reterr)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return err_set(reterr, -errno,
                       "cannot read the key of stored secrets "
                       "%s: %s",
                       path, strerror(errno));
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 077) != 0) {
        os_close(fd);
        err_hint(reterr, "chmod 600 %s", path);
        return err_set(reterr, -EINVAL,
                       "the key of stored secrets %s can be read by others",
                       path);
    }
    return fd;
}

static int read_key(const char *path, struct seal *s, struct err *reterr)
{
    CLEANUP(os_closep) int fd = open_key(path, reterr);
    if (fd < 0) {
        return fd;
    }
    struct strbuf text = STRBUF_INIT(SEAL_KEY_BYTES);
    int r = os_read_all(fd, &text);
    if (r < 0 || text.len != SEAL_KEY_BYTES) {
        err_hint(reterr,
                 "restore it from a copy; without it the stored secrets are "
                 "lost: remove it and enter them again");
        r = err_set(reterr, -EINVAL,
                    "the key of stored secrets %s is not %d bytes long", path,
                    SEAL_KEY_BYTES);
    } else {
        memcpy(s->key, text.at, SEAL_KEY_BYTES);
        sodium_memzero(text.at, text.len);
    }
    strbuf_deinit(&text);
    return r;
}

static int sync_folder_of(const char *path)
{
    CLEANUP(mem_freep) char *copy = str_dup(str_c(path));
    CLEANUP(os_closep)
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

#define TEMPORARY ".XXXXXX"

/* A whole key, durable, under a name that nobody looks for. */
static int write_key(char *name, const struct seal *s)
{
    CLEANUP(os_closep) int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int r = os_write_all(fd, str_n((const char *)s->key, sizeof(s->key)));
    if (r == 0 && fsync(fd) < 0) {
        r = -errno;
    }
    if (r < 0) {
        (void)unlink(name);
    }
    return r;
}

/* Durable before anything is sealed with it. The key gets its name when it is
 * whole, so that no crash leaves a part of one; -EEXIST: another process, which
 * may be using it already, was faster. */
static int place_key(const char *path, struct seal *s)
{
    CLEANUP(mem_freep) char *name = mem_alloc(strlen(path) + 8, 1);
    memcpy(name, path, strlen(path));
    memcpy(name + strlen(path), TEMPORARY, sizeof(TEMPORARY));
    randombytes_buf(s->key, sizeof(s->key));
    int r = write_key(name, s);
    if (r < 0) {
        return r;
    }
    if (link(name, path) < 0) {
        r = -errno;
    }
    (void)unlink(name);
    if (r == 0 || r == -EEXIST) {
        int synced = sync_folder_of(path);
        r = synced < 0 ? synced : r;
    }
    return r;
}

static int make_key(const char *path, struct seal *s, struct err *reterr)
{
    int r = place_key(path, s);
    if (r == -EEXIST) {
        return read_key(path, s, reterr);
    }
    if (r < 0) {
        err_hint(reterr, "set security.secrets_key to a path that the engine "
                         "may write");
        return err_set(reterr, r,
                       "cannot make the key of stored secrets %s: %s", path,
                       strerror(-r));
    }
    return 0;
}

/* The credential's path in the buffer, or NULL. */
static const char *credential(char *room, size_t size)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (folder == NULL) {
        return NULL;
    }
    (void)snprintf(room, size, "%s/" SEAL_CREDENTIAL, folder);
    return access(room, F_OK) == 0 ? room : NULL;
}

int seal_open(const char *path, bool create, struct seal **ret,
              struct err *reterr)
{
    char room[4096];
    if (sodium_init() < 0) {
        return err_set(reterr, -ENOSYS, "libsodium does not start");
    }
    const char *given = credential(room, sizeof(room));
    struct seal *s = sodium_malloc(sizeof(*s));
    ASSERT(s != NULL);
    int r = read_key(given != NULL ? given : path, s, reterr);
    if (r == -ENOENT && create && given == NULL) {
        r = make_key(path, s, reterr);
    }
    if (r < 0) {
        seal_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void seal_free(struct seal *s)
{
    sodium_free(s); /* wipes */
}

/* ---- sealing ------------------------------------------------------------ */

static const unsigned char *bytes_of(struct str s)
{
    return (const unsigned char *)s.at;
}

void seal_add(const struct seal *s, struct str secret, struct str context,
              struct strbuf *out)
{
    size_t room = NONCE_BYTES + secret.len + TAG_BYTES;
    CLEANUP(mem_freep) unsigned char *sealed = mem_alloc(room, 1);
    unsigned long long len = 0;
    randombytes_buf(sealed, NONCE_BYTES);
    int r = crypto_aead_xchacha20poly1305_ietf_encrypt(
        sealed + NONCE_BYTES, &len, bytes_of(secret), secret.len,
        bytes_of(context), context.len, NULL, sealed, s->key);
    ASSERT(r == 0);
    size_t text_size = sodium_base64_encoded_len(room, BASE64);
    CLEANUP(mem_freep) char *text = mem_alloc(text_size, 1);
    (void)sodium_bin2base64(text, text_size, sealed, room, BASE64);
    strbuf_addc(out, text);
}

int seal_get(const struct seal *s, struct str sealed, struct str context,
             char **ret)
{
    CLEANUP(mem_freep) unsigned char *raw = mem_alloc(sealed.len + 1, 1);
    size_t len = 0;
    if (sodium_base642bin(raw, sealed.len, sealed.at, sealed.len, NULL, &len,
                          NULL, BASE64) != 0 ||
        len < NONCE_BYTES + TAG_BYTES) {
        return -EBADMSG;
    }
    char *secret = mem_alloc(len, 1);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            (unsigned char *)secret, NULL, NULL, raw + NONCE_BYTES,
            len - NONCE_BYTES, bytes_of(context), context.len, raw,
            s->key) != 0) {
        mem_free(secret);
        return -EBADMSG;
    }
    *ret = secret; /* zeroed behind its end by mem_alloc */
    return 0;
}

void seal_mac(const struct seal *s, struct str text, char ret[SEAL_MAC_SIZE])
{
    unsigned char mac[32];
    int r = crypto_generichash(mac, sizeof(mac), bytes_of(text), text.len,
                               s->key, sizeof(s->key));
    ASSERT(r == 0);
    (void)sodium_bin2hex(ret, SEAL_MAC_SIZE, mac, sizeof(mac));
}

void seal_wipe(char *secret)
{
    if (secret != NULL) {
        sodium_memzero(secret, strlen(secret));
        mem_free(secret);
    }
}
