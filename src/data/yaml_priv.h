/*
 * How a scalar was written. Private to yaml.c and yaml_where.c.
 */
#pragma once

#include "data/yaml.h"

enum yaml_style {
    YAML_STYLE_PLAIN,
    YAML_STYLE_SINGLE,
    YAML_STYLE_DOUBLE,
    YAML_STYLE_LITERAL,
    YAML_STYLE_FOLDED
};

enum yaml_style yaml_style(const struct yaml_node *n);
